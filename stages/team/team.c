#include "stages/team/team.h"

#include "io/agree.h"
#include "stages/team/pieces.h"

#include <stdlib.h>

void share_of(size_t total, size_t part, size_t parts, size_t *first, size_t *count)
{
    const size_t each = total / parts, more = total % parts;

    // The first `more` parts have one more than the rest.
    *first = each * part + (part < more ? part : more);
    *count = each + (part < more);
}

// Index of the team of `count` that has rank `rank` of `ranks`; count for a rank beyond them.
static int team_of(int rank, int ranks, int count)
{
    for (int index = 0; index < count; index++) {
        size_t first, share;
        share_of((size_t)ranks, (size_t)index, (size_t)count, &first, &share);
        if ((size_t)rank < first + share)
            return index;
    }
    return count;
}

enum status team_create(struct team *team, MPI_Comm world, int count, struct error *err)
{
    int size;
    MPI_Comm_size(world, &size);
    return team_create_within(team, world, count, size, err);
}

void team_alone(struct team *team)
{
    *team = (struct team){
        .comm = MPI_COMM_SELF, .size = 1, .node = MPI_COMM_SELF, .node_size = 1, .count = 1, .world_size = 1};
}

bool team_is_idle(const struct team *team)
{
    return team->index == team->count;
}

enum status team_create_within(struct team *team, MPI_Comm world, int count, int ranks, struct error *err)
{
    int code;

    *team = (struct team){.comm = MPI_COMM_NULL, .node = MPI_COMM_NULL};
    MPI_Comm_rank(world, &team->world_rank);
    MPI_Comm_size(world, &team->world_size);
    RETURN_ERROR_IF(count < 1 || count > ranks || ranks > team->world_size, err, STATUS_USAGE,
                    "%d teams of %d of %d ranks", count, ranks, team->world_size);
    team->count = count;
    team->index = team_of(team->world_rank, ranks, count);

    code = MPI_Comm_split(world, team->index, team->world_rank, &team->comm);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_set_errhandler(team->comm, MPI_ERRORS_RETURN);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_split_type(team->comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &team->node);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_set_errhandler(team->node, MPI_ERRORS_RETURN);
    if (code != MPI_SUCCESS) {
        team_free(team);
        return mpi_failed(code, "splitting the ranks into teams", err);
    }
    MPI_Comm_rank(team->comm, &team->rank);
    MPI_Comm_size(team->comm, &team->size);
    MPI_Comm_rank(team->node, &team->node_rank);
    MPI_Comm_size(team->node, &team->node_size);
    return STATUS_OK;
}

void team_free(struct team *team)
{
    if (team->node != MPI_COMM_NULL)
        MPI_Comm_free(&team->node);
    if (team->comm != MPI_COMM_NULL)
        MPI_Comm_free(&team->comm);
}

enum status team_agree(const struct team *team, enum status mine, struct error *err)
{
    return agree(team->comm, mine, err);
}

bool team_any(const struct team *team, bool mine)
{
    int any = mine;
    if (team->size == 1)
        return mine;
    // A failed call leaves this rank's own answer: with ranks that cannot talk the program ends anyway.
    if (MPI_Allreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_LOR, team->comm) != MPI_SUCCESS)
        return mine;
    return any != 0;
}

void team_barrier(const struct team *team)
{
    MPI_Barrier(team->comm);
}

// ---- broadcast -------------------------------------------------------------------------------------------

enum status broadcast_in_pieces(const struct team *team, void *bytes, uint64_t size, int root, size_t piece,
                                struct error *err)
{
    if (team->size == 1)
        return STATUS_OK;
    for (uint64_t at = 0; at < size; at += piece) {
        const uint64_t part = size - at < piece ? size - at : piece;
        const int code = MPI_Bcast((char *)bytes + at, (int)part, MPI_BYTE, root, team->comm);
        if (code != MPI_SUCCESS)
            return mpi_failed(code, "MPI_Bcast", err);
    }
    return STATUS_OK;
}

enum status team_broadcast(const struct team *team, void *bytes, uint64_t size, int root, struct error *err)
{
    return broadcast_in_pieces(team, bytes, size, root, LARGEST_PIECE, err);
}

// ---- integers --------------------------------------------------------------------------------------------

enum status sum_u64_in_pieces(const struct team *team, uint64_t *values, size_t count, size_t piece,
                              struct error *err)
{
    if (team->size == 1)
        return STATUS_OK;
    for (size_t at = 0; at < count; at += piece) {
        const size_t part = count - at < piece ? count - at : piece;
        const int code =
            MPI_Allreduce(MPI_IN_PLACE, values + at, (int)part, MPI_UINT64_T, MPI_SUM, team->comm);
        if (code != MPI_SUCCESS)
            return mpi_failed(code, "MPI_Allreduce", err);
    }
    return STATUS_OK;
}

enum status team_sum_u64(const struct team *team, uint64_t *values, size_t count, struct error *err)
{
    return sum_u64_in_pieces(team, values, count, LARGEST_PIECE / sizeof *values, err);
}

enum status team_max_f64(const struct team *team, double *values, size_t count, struct error *err)
{
    const int code = MPI_Allreduce(MPI_IN_PLACE, values, (int)count, MPI_DOUBLE, MPI_MAX, team->comm);
    return code == MPI_SUCCESS ? STATUS_OK : mpi_failed(code, "MPI_Allreduce", err);
}

enum status team_exclusive_sum_u64(const struct team *team, uint64_t mine, uint64_t *before,
                                   struct error *err)
{
    uint64_t sum = 0;
    const int code = MPI_Exscan(&mine, &sum, 1, MPI_UINT64_T, MPI_SUM, team->comm);
    if (code != MPI_SUCCESS)
        return mpi_failed(code, "MPI_Exscan", err);
    *before = team->rank == 0 ? 0 : sum; // MPI leaves rank 0's undefined
    return STATUS_OK;
}

// ---- allgather -------------------------------------------------------------------------------------------

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

// All in one call: counts and displacements are bytes and fit int.
static enum status gather_at_once(const struct team *team, char *data, size_t total, size_t width,
                                  struct error *err)
{
    int *counts = NULL, code;
    enum status status =
        allocate(&counts, 2 * (size_t)team->size, sizeof *counts, "the shares of the ranks", err);

    status = team_agree(team, status, err);
    if (status == STATUS_OK) {
        int *displacements = counts + team->size;
        for (int r = 0; r < team->size; r++) {
            size_t first, count;
            share_of(total, (size_t)r, (size_t)team->size, &first, &count);
            counts[r] = (int)(count * width);
            displacements[r] = (int)(first * width);
        }
        code = MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, data, counts, displacements, MPI_BYTE,
                              team->comm);
        if (code != MPI_SUCCESS)
            status = mpi_failed(code, "MPI_Allgatherv", err);
    }
    free(counts);
    return status;
}

// In step s every rank passes on to its right the share of the rank s places to its left.
static enum status gather_round_the_ring(const struct team *team, char *data, size_t total, size_t width,
                                         size_t piece, struct error *err)
{
    const int size = team->size, right = (team->rank + 1) % size, left = (team->rank + size - 1) % size;

    for (int step = 0; step < size - 1; step++) {
        size_t out_first, out_count, in_first, in_count;
        share_of(total, (size_t)((team->rank - step + size) % size), (size_t)size, &out_first, &out_count);
        share_of(total, (size_t)((left - step + size) % size), (size_t)size, &in_first, &in_count);
        const size_t out = out_count * width, in = in_count * width;
        for (size_t at = 0; at < out || at < in; at += piece) {
            const size_t out_part = at < out ? smaller(out - at, piece) : 0;
            const size_t in_part = at < in ? smaller(in - at, piece) : 0;
            // A share that is shorter by a piece than its neighbour's is followed by empty messages on both
            // sides: the lengths of a pair always agree, because the receiver computes what the sender sends.
            const int code =
                MPI_Sendrecv(data + out_first * width + (out_part != 0 ? at : 0), (int)out_part, MPI_BYTE,
                             out_part != 0 ? right : MPI_PROC_NULL, 0,
                             data + in_first * width + (in_part != 0 ? at : 0), (int)in_part, MPI_BYTE,
                             in_part != 0 ? left : MPI_PROC_NULL, 0, team->comm, MPI_STATUS_IGNORE);
            if (code != MPI_SUCCESS)
                return mpi_failed(code, "MPI_Sendrecv", err);
        }
    }
    return STATUS_OK;
}

enum status allgather_in_pieces(const struct team *team, void *data, size_t total, size_t width, size_t piece,
                                struct error *err)
{
    if (total == 0 || width == 0 || team->size == 1)
        return STATUS_OK;
    return total <= piece / width ? gather_at_once(team, data, total, width, err)
                                  : gather_round_the_ring(team, data, total, width, piece, err);
}

enum status team_allgather(const struct team *team, void *data, size_t total, size_t width, struct error *err)
{
    return allgather_in_pieces(team, data, total, width, LARGEST_PIECE, err);
}
