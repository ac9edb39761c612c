#include "pipeline/plan/costs/cores.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

size_t allowed_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (size_t)CPU_COUNT(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (size_t)online : 1;
}

// A parent that was killed has not stopped it.
_Noreturn static void work(pid_t parent, void (*step)(void *), void *context)
{
    while (getppid() == parent)
        step(context);
    _exit(EXIT_SUCCESS);
}

enum status neighbours_start(struct neighbours *neighbours, size_t count, void (*step)(void *context),
                             void *context, struct error *err)
{
    const pid_t self = getpid();

    *neighbours = (struct neighbours){0};
    FORWARD_IF_ERROR(
        allocate(&neighbours->processes, count, sizeof *neighbours->processes, "processes", err));
    for (; neighbours->count < count; neighbours->count++) {
        const pid_t child = fork();
        if (child == 0)
            work(self, step, context);
        RETURN_ERROR_IF(child < 0, err, STATUS_FAILED,
                        "cannot start process %zu of %zu to measure this machine with: %s",
                        neighbours->count + 1, count, strerror(errno));
        neighbours->processes[neighbours->count] = child;
    }
    return STATUS_OK;
}

void neighbours_stop(struct neighbours *neighbours)
{
    for (size_t i = 0; i < neighbours->count; i++)
        (void)kill(neighbours->processes[i], SIGKILL);
    for (size_t i = 0; i < neighbours->count; i++)
        while (waitpid(neighbours->processes[i], NULL, 0) < 0 && errno == EINTR)
            ;
    free(neighbours->processes);
    *neighbours = (struct neighbours){0};
}
