#include "io/agree.h"

#include <string.h>

void comm_shape(MPI_Comm comm, int *rank, int *size)
{
    *rank = 0;
    *size = 1;
    if (comm != MPI_COMM_SELF) {
        MPI_Comm_rank(comm, rank);
        MPI_Comm_size(comm, size);
    }
}

enum status mpi_failed(int code, const char *what, struct error *err)
{
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int length = 0;

    MPI_Error_string(code, text, &length);
    return error_set(err, STATUS_FAILED, "%s: %s", what, text);
}

enum status agree_max(MPI_Comm comm, enum status mine, uint64_t *value, struct error *err)
{
    struct error local = {.status = mine, .message = ""};
    int rank, size, code;

    comm_shape(comm, &rank, &size);
    if (size == 1)
        return mine;

    // The status above, the rank's complement below: the largest is the worst status of the lowest rank.
    uint64_t pair[2] = {0, *value}, largest[2];
    if (mine != STATUS_OK)
        pair[0] = (uint64_t)mine << 32 | (UINT32_MAX - (uint32_t)rank);
    code = MPI_Allreduce(pair, largest, 2, MPI_UINT64_T, MPI_MAX, comm);
    if (code != MPI_SUCCESS)
        return mpi_failed(code, "agreeing with the other ranks", err);
    *value = largest[1];
    if (largest[0] == 0)
        return STATUS_OK;

    const int speaker = (int)(UINT32_MAX - (uint32_t)(largest[0] & UINT32_MAX));
    if (rank == speaker && err != NULL)
        memcpy(local.message, err->message, sizeof local.message);
    code = MPI_Bcast(local.message, sizeof local.message, MPI_CHAR, speaker, comm);
    if (code != MPI_SUCCESS)
        return mpi_failed(code, "agreeing with the other ranks", err);
    local.message[sizeof local.message - 1] = '\0';
    // Rank 0 is not named: a message that all ranks agreed on before comes from it, and is not its own.
    if (speaker == 0)
        return error_set(err, (enum status)(largest[0] >> 32), "%s", local.message);
    return error_set(err, (enum status)(largest[0] >> 32), "rank %d: %s", speaker, local.message);
}

enum status agree(MPI_Comm comm, enum status mine, struct error *err)
{
    uint64_t unused = 0;
    return agree_max(comm, mine, &unused, err);
}
