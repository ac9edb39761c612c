#include "pipeline/run/process/mpi_room.h"

#include "io/launched.h"
#include "kernels/amount.h"

#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

// What MPI_Init takes, as measured with 1 to 8 ranks on a node and stacks of different sizes, on Debian 12
// (Open MPI 4.1.4, MPICH 4.0.2) and Debian 13 (Open MPI 5.0.7), and a little more. With fewer addresses it
// has crashed.
static const struct room {
    const char *library; // how MPI_Get_library_version begins
    // Bytes of addresses: at the peak and at the end, for both the stack of so many threads, and at the end
    // for each rank of the node, if there are several.
    uint64_t peak, end, each_rank;
    unsigned threads;
    // The largest file, of a rank alone on its node and of one among several: these are in shared memory.
    // With less Open MPI 4.1 waits for ever, or speaks.
    uint64_t file_alone, file;
} rooms[] = {
    {"Open MPI v4.", 206000000, 193000000, 4400000, 2, 4600000, 4600000},
    {"Open MPI v5.", 136000000, 80000000, 18500000, 1, 0, 17000000},
    {"MPICH Version:", 63000000, 63000000, 0, 0, 4600000, 4600000},
};
enum { DEFAULT_STACK = 2 << 20 }; // of a thread, without a limit

// NULL: nothing is known of this MPI.
static const struct room *find_room(void)
{
    char name[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;

    if (MPI_Get_library_version(name, &length) != MPI_SUCCESS)
        return NULL;
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++)
        if (strncmp(name, rooms[i].library, strlen(rooms[i].library)) == 0)
            return &rooms[i];
    return NULL;
}

static uint64_t addresses_of_start(const struct room *room)
{
    const uint64_t ranks = launched_ranks_on_node();
    const uint64_t end = room->end + (ranks > 1 ? ranks * room->each_rank : 0);
    struct rlimit stack;

    if (getrlimit(RLIMIT_STACK, &stack) != 0 || stack.rlim_cur == RLIM_INFINITY)
        stack.rlim_cur = DEFAULT_STACK;
    return (end > room->peak ? end : room->peak) + room->threads * (uint64_t)stack.rlim_cur;
}

// Bytes of addresses in use; 0 when the system does not say.
static uint64_t mapped_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%lu", &pages) != 1)
        pages = 0;
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static enum status check_addresses(const struct room *room, struct error *err)
{
    struct rlimit limit;
    char need[32], has[32];

    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return STATUS_OK;
    const uint64_t needed = mapped_bytes() + addresses_of_start(room);
    if ((uint64_t)limit.rlim_cur >= needed)
        return STATUS_OK;
    return error_set(
        err, STATUS_MEMORY,
        "out of memory: program and MPI need %s of addresses before any work begins, a process may "
        "have %s here (ulimit -v)",
        amount_format((double)needed, "B", need, sizeof need),
        amount_format((double)limit.rlim_cur, "B", has, sizeof has));
}

static enum status check_files(const struct room *room, struct error *err)
{
    const uint64_t needed = launched_ranks_on_node() > 1 ? room->file : room->file_alone;
    struct rlimit limit;
    char need[32], has[32];

    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        (uint64_t)limit.rlim_cur >= needed)
        return STATUS_OK;
    return error_set(err, STATUS_FAILED,
                     "MPI's files need %s before any work begins, a process may write files of %s here "
                     "(ulimit -f)",
                     amount_format((double)needed, "B", need, sizeof need),
                     amount_format((double)limit.rlim_cur, "B", has, sizeof has));
}

enum status mpi_room_check(struct error *err)
{
    const struct room *room = find_room();

    if (room == NULL)
        return STATUS_OK;
    FORWARD_IF_ERROR(check_addresses(room, err));
    return check_files(room, err);
}

void mpi_room_start(int *argc, char ***argv)
{
    const bool homeless = getenv("HOME") == NULL;

    if (homeless)
        setenv("HOME", "/", 1);
    MPI_Init(argc, argv);
    if (homeless)
        unsetenv("HOME"); // a job's ~ is as unknown to `run` as it is to `plan`
}
