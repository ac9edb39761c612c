// traffic.c - a shared object for LD_PRELOAD that counts what a program's ranks send each other.
//
//   TRAFFIC_FILE=FILE           when MPI ends, FILE.RANK gets a line per kind of call: its name, calls,
//   messages, bytes TRAFFIC_RANKS_PER_NODE=N    every N ranks are told that they are a node of their own
//
// Messages and bytes of a collective call are those of the plainest way: R - 1 messages for a broadcast over
// R ranks, as many up and as many down for a sum that all get, one from each to each other for a gather. Its
// first rank counts them, once for all. What HDF5 and the MPI library send among themselves, in calls of
// their own, counts as well where it goes through these calls.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum call { SEND, SENDRECV, BROADCAST, ALLREDUCE, BARRIER, ALLGATHER, ALLGATHERV, EXSCAN, NUM_CALLS };
static const char *const names[NUM_CALLS] = {"send",    "sendrecv",  "broadcast",  "allreduce",
                                             "barrier", "allgather", "allgatherv", "exscan"};
static struct {
    double calls, messages, bytes;
} traffic[NUM_CALLS];

static double bytes_of(int count, MPI_Datatype type)
{
    int size;
    PMPI_Type_size(type, &size);
    return (double)count * size;
}

static void count_call(enum call call, double messages, double bytes)
{
    traffic[call].calls++;
    traffic[call].messages += messages;
    traffic[call].bytes += bytes;
}

// `each`: bytes of one message, of which there are `messages` for every rank but one.
static void count_collective(enum call call, MPI_Comm comm, double messages, double each)
{
    int rank, size;

    PMPI_Comm_rank(comm, &rank);
    PMPI_Comm_size(comm, &size);
    if (rank == 0)
        count_call(call, messages * (size - 1), messages * (size - 1) * each);
}

static double size_of(MPI_Comm comm)
{
    int size;
    PMPI_Comm_size(comm, &size);
    return size;
}

int MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    count_call(SEND, 1, bytes_of(count, type));
    return PMPI_Isend(data, count, type, to, tag, comm, request);
}

int MPI_Send(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm)
{
    count_call(SEND, 1, bytes_of(count, type));
    return PMPI_Send(data, count, type, to, tag, comm);
}

int MPI_Sendrecv(const void *data, int count, MPI_Datatype type, int to, int tag, void *other,
                 int other_count, MPI_Datatype other_type, int from, int other_tag, MPI_Comm comm,
                 MPI_Status *status)
{
    count_call(SENDRECV, 1, bytes_of(count, type));
    return PMPI_Sendrecv(data, count, type, to, tag, other, other_count, other_type, from, other_tag, comm,
                         status);
}

int MPI_Bcast(void *data, int count, MPI_Datatype type, int root, MPI_Comm comm)
{
    count_collective(BROADCAST, comm, 1, bytes_of(count, type));
    return PMPI_Bcast(data, count, type, root, comm);
}

int MPI_Allreduce(const void *data, void *result, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    count_collective(ALLREDUCE, comm, 2, bytes_of(count, type));
    return PMPI_Allreduce(data, result, count, type, op, comm);
}

int MPI_Barrier(MPI_Comm comm)
{
    count_collective(BARRIER, comm, 2, 0);
    return PMPI_Barrier(comm);
}

int MPI_Allgather(const void *data, int count, MPI_Datatype type, void *all, int all_count,
                  MPI_Datatype all_type, MPI_Comm comm)
{
    count_collective(ALLGATHER, comm, size_of(comm), bytes_of(all_count, all_type));
    return PMPI_Allgather(data, count, type, all, all_count, all_type, comm);
}

int MPI_Allgatherv(const void *data, int count, MPI_Datatype type, void *all, const int counts[],
                   const int places[], MPI_Datatype all_type, MPI_Comm comm)
{
    double sum = 0;
    for (int r = 0; r < (int)size_of(comm); r++)
        sum += bytes_of(counts[r], all_type);
    count_collective(ALLGATHERV, comm, size_of(comm), sum / size_of(comm));
    return PMPI_Allgatherv(data, count, type, all, counts, places, all_type, comm);
}

int MPI_Exscan(const void *data, void *result, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm)
{
    count_collective(EXSCAN, comm, 1, bytes_of(count, type));
    return PMPI_Exscan(data, result, count, type, op, comm);
}

int MPI_Comm_split_type(MPI_Comm comm, int type, int key, MPI_Info info, MPI_Comm *part)
{
    const char *ranks = getenv("TRAFFIC_RANKS_PER_NODE");
    MPI_Comm whole;
    int rank;

    if (ranks == NULL || type != MPI_COMM_TYPE_SHARED)
        return PMPI_Comm_split_type(comm, type, key, info, part);
    PMPI_Comm_split_type(comm, type, key, info, &whole);
    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    const int code = PMPI_Comm_split(whole, rank / atoi(ranks), key, part);
    PMPI_Comm_free(&whole);
    return code;
}

int MPI_Finalize(void)
{
    const char *file = getenv("TRAFFIC_FILE");
    char path[4096];
    int rank;

    PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (file != NULL) {
        snprintf(path, sizeof path, "%s.%d", file, rank);
        FILE *out = fopen(path, "we");
        for (int c = 0; c < NUM_CALLS && out != NULL; c++)
            fprintf(out, "%s %.0f %.0f %.0f\n", names[c], traffic[c].calls, traffic[c].messages,
                    traffic[c].bytes);
        if (out != NULL)
            fclose(out);
    }
    return PMPI_Finalize();
}
