#include "stages/team/nodes.h"

#include "io/agree.h"

#include <stdlib.h>

// Of rank `rank` of the team: which node's leader it is, or whose leader it follows.
static int find_nodes(struct nodes *nodes, const struct team *team)
{
    int mine[2] = {0, 0}; // this rank's node, the number of nodes
    int code =
        MPI_Comm_split(team->comm, team->node_rank == 0 ? 0 : MPI_UNDEFINED, team->rank, &nodes->leaders);

    if (code == MPI_SUCCESS && nodes->leaders != MPI_COMM_NULL) {
        MPI_Comm_rank(nodes->leaders, &mine[0]);
        MPI_Comm_size(nodes->leaders, &mine[1]);
        code = MPI_Comm_set_errhandler(nodes->leaders, MPI_ERRORS_RETURN);
    }
    if (code == MPI_SUCCESS)
        code = MPI_Bcast(mine, 2, MPI_INT, 0, team->node);
    if (code == MPI_SUCCESS)
        code = MPI_Allgather(mine, 1, MPI_INT, nodes->of, 1, MPI_INT, team->comm);
    nodes->count = (size_t)mine[1];
    return code;
}

enum status nodes_create(struct nodes *nodes, const struct team *team, struct error *err)
{
    *nodes = (struct nodes){.leaders = MPI_COMM_NULL};
    enum status status =
        allocate(&nodes->of, (size_t)team->size, sizeof *nodes->of, "the nodes of a team", err);

    status = team_agree(team, status, err);
    if (status == STATUS_OK) {
        const int code = find_nodes(nodes, team);
        if (code != MPI_SUCCESS)
            status = mpi_failed(code, "finding the nodes of a team", err);
        status = team_agree(team, status, err);
    }
    if (status != STATUS_OK)
        nodes_free(nodes);
    return status;
}

void nodes_free(struct nodes *nodes)
{
    if (nodes->of != NULL && nodes->leaders != MPI_COMM_NULL)
        MPI_Comm_free(&nodes->leaders);
    free(nodes->of);
    *nodes = (struct nodes){.leaders = MPI_COMM_NULL};
}

enum status nodes_send_rows(const struct nodes *nodes, const struct double_rows *rows, int rank,
                            struct error *err)
{
    MPI_Datatype type;

    if (nodes->count < 2 || nodes->leaders == MPI_COMM_NULL)
        return STATUS_OK;
    int code = MPI_Type_vector((int)rows->rows, (int)rows->columns, (int)rows->stride, MPI_DOUBLE, &type);
    if (code != MPI_SUCCESS)
        return mpi_failed(code, "MPI_Type_vector", err);
    code = MPI_Type_commit(&type);
    if (code == MPI_SUCCESS)
        code = MPI_Bcast(rows->first, 1, type, nodes->of[rank], nodes->leaders);
    MPI_Type_free(&type);
    return code == MPI_SUCCESS ? STATUS_OK : mpi_failed(code, "MPI_Bcast", err);
}

enum status nodes_send_bytes(const struct nodes *nodes, void *bytes, uint64_t size, size_t node,
                             struct error *err)
{
    const struct team leaders = {.comm = nodes->leaders, .size = (int)nodes->count};
    return nodes->leaders != MPI_COMM_NULL ? team_broadcast(&leaders, bytes, size, (int)node, err)
                                           : STATUS_OK;
}
