#include "pipeline/run/process/bus_error.h"
#include "io/launched.h"
#include "pipeline/cli/exit_code.h"

#include <mpi.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

// For the handler.
static const struct checkpoint *volatile watched;
static void *volatile address; // of the fault
static pthread_t main_thread;
static char prefix[48];

static const char *file_at(const void *place)
{
    const struct checkpoint *checkpoint = watched;
    const uintptr_t at = (uintptr_t)place;
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
// called. That is so in the main thread as well while it waits for a helper (kernels/threads.h); it alone may
// call MPI.
static void handle(int signal_number, siginfo_t *info, void *context)
{
    int is_initialized = 0, is_finalized = 1;
    (void)context;

    if (info->si_code > 0) // a fault, and not the word of a helper
        address = info->si_addr;
    if (!pthread_equal(pthread_self(), main_thread)) {
        pthread_kill(main_thread, signal_number);
        for (;;)
            pause();
    }
    const char *file = file_at(address);
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
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};

    main_thread = pthread_self();

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
