// launcher.h - a rank does not outlive the mpirun that started it.
#pragma once
#include <stdbool.h>

// Call it before MPI_Init. When mpirun started this process and then ends, however it ends, the process ends
// too, with exit code 1. Open MPI sees to that by itself once it is initialised. But a rank that is in
// MPI_Init when its mpirun is killed would wait for ever (seen with 4.1.4: it sleeps on a condition that only
// the closed connection could have met). Does nothing on systems other than Linux, and for processes that
// mpirun did not start.
void launcher_watch(void);

// Whether mpirun started this process. It sends SIGTERM to all ranks for Ctrl-C, and SIGKILL a second later
// (odls_base_sigkill_timeout); its own exit code is then 1, whatever theirs are.
bool launcher_is_mpirun(void);
