#include "pipeline/run/process/bus_error.h"
#include "io/launched.h"
#include "pipeline/cli/exit_code.h"

#include <mpi.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

// For the handler.
static const struct checkpoint *volatile watched;
static char prefix[48];

static const char *file_at(const void *address)
{
    const struct checkpoint *checkpoint = watched;
    const uintptr_t at = (uintptr_t)address;
    for (size_t i = 0; checkpoint != NULL && i < checkpoint->num_shards; i++) {
        const struct safetensors_file *shard = checkpoint->shards[i];
        const uintptr_t begin = (uintptr_t)shard->mapping;
        if (at >= begin && at - begin < shard->file_bytes)
            return shard->path;
    }
    return NULL;
}

// In one go: other ranks may have the same to say.
static void say(const char *file)
{
    static const char reason[] =
        ": can no longer be read: it became shorter while it was in use, or its disk is failing\n";
    const struct iovec parts[] = {{prefix, strlen(prefix)},
                                  {(void *)(uintptr_t)file, strlen(file)},
                                  {(void *)(uintptr_t)reason, sizeof reason - 1}};
    const ssize_t ignored = writev(STDERR_FILENO, parts, 3);
    (void)ignored;
}

// The fault comes from our own arithmetic, so that MPI and the heap are in a state in which they can be
// called.
static void handle(int signal_number, siginfo_t *info, void *context)
{
    const char *file = file_at(info->si_addr);
    int is_initialized = 0, is_finalized = 1;
    (void)signal_number;
    (void)context;

    say(file != NULL ? file : "a file that is mapped into memory, or memory that is shared");
    launched_await_reader();
    MPI_Initialized(&is_initialized);
    MPI_Finalized(&is_finalized);
    if (is_initialized && !is_finalized)
        MPI_Abort(MPI_COMM_WORLD, EXIT_FAILED);
    _exit(EXIT_FAILED);
}

void bus_error_watch(int rank)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | (int)SA_RESETHAND};

    if (rank > 0)
        snprintf(prefix, sizeof prefix, "coppice: rank %d: ", rank);
    else
        snprintf(prefix, sizeof prefix, "coppice: ");
    sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL); // without it the program ends all the same, only less clearly
}

void bus_error_name(const struct checkpoint *checkpoint)
{
    watched = checkpoint;
}
