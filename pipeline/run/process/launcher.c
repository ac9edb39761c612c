#include "pipeline/run/process/launcher.h"

#include <mpi.h>
#include <string.h>

enum status launcher_check(size_t started, int ranks, struct error *err)
{
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING] = "its MPI";
    int length;

    if (ranks > 1 || started == 1)
        return STATUS_OK;
    MPI_Get_library_version(mpi, &length);
    mpi[strcspn(mpi, "\n,")] = '\0';
    return error_set(
        err, STATUS_USAGE,
        "%zu ranks were started, and each is alone: what started them is not a launcher of the MPI "
        "that coppice uses (%s); take that one's mpirun or mpiexec, or another --mpi= of srun",
        started, mpi);
}

#ifdef __linux__

#include "io/launched.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static volatile pid_t launcher;

// The signal also comes when only the launcher's thread that started us ends. Whose child we are now decides.
static void look_for_launcher(int signal_number)
{
    static const char line[] = "coppice: mpirun has ended; run the same command again to go on\n";
    (void)signal_number;
    if (getppid() == launcher)
        return;
    // Mostly nobody is left to read it. Where somebody is, an exit code of 1 is explained.
    const ssize_t ignored = write(STDERR_FILENO, line, sizeof line - 1);
    (void)ignored;
    _exit(EXIT_FAILURE);
}

void launcher_watch(void)
{
    const struct sigaction action = {.sa_handler = look_for_launcher, .sa_flags = SA_RESTART};

    if (!launched_by_mpirun())
        return;
    launcher = getppid();
    // SIGPWR: nobody else uses it, and --stop-signal cannot be it.
    if (sigaction(SIGPWR, &action, NULL) == 0)
        (void)prctl(PR_SET_PDEATHSIG, SIGPWR);
    look_for_launcher(0); // it may have ended just now
}

#else

void launcher_watch(void)
{
}

#endif
