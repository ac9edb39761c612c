#include "pipeline/run/mpi_room.h"

#include "kernels/amount.h"

#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

// What MPI_Init of Open MPI 4.1 maps at its peak, as measured on Debian 12 with one rank: 222 MB. With less
// it has crashed.
static const uint64_t mpi_start_bytes = 225000000;

// The largest file that MPI_Init of Open MPI 4.1 needs, as measured there: without a launcher it fails at
// 2 MiB and starts at 4; two ranks wait for ever at 256 KiB.
static const uint64_t mpi_file_bytes = (uint64_t)4 << 20;

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

static enum status check_addresses(struct error *err)
{
    const uint64_t mapped = mapped_bytes();
    struct rlimit limit;
    char need[32], has[32];

    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        (uint64_t)limit.rlim_cur >= mapped + mpi_start_bytes)
        return STATUS_OK;
    return error_set(
        err, STATUS_MEMORY,
        "out of memory: program and MPI need %s of addresses before any work begins, a process may "
        "have %s here (ulimit -v)",
        amount_format((double)(mapped + mpi_start_bytes), "B", need, sizeof need),
        amount_format((double)limit.rlim_cur, "B", has, sizeof has));
}

static enum status check_files(struct error *err)
{
    struct rlimit limit;
    char need[32], has[32];

    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        (uint64_t)limit.rlim_cur >= mpi_file_bytes)
        return STATUS_OK;
    return error_set(err, STATUS_FAILED,
                     "MPI's files need %s before any work begins, a process may write files of %s here "
                     "(ulimit -f)",
                     amount_format((double)mpi_file_bytes, "B", need, sizeof need),
                     amount_format((double)limit.rlim_cur, "B", has, sizeof has));
}

enum status mpi_room_check(bool first, struct error *err)
{
    const struct timespec pause = {1, 0};
    enum status status = check_addresses(err);

    if (status == STATUS_OK)
        status = check_files(err);
    if (status != STATUS_OK && !first)
        nanosleep(&pause, NULL);
    return status;
}
