// launcher.h - a rank does not outlive the mpirun that started it.
#pragma once

// Call it before MPI_Init. When mpirun started this process and then ends, however it ends, the process ends
// too, with exit code 1. Open MPI sees to that by itself once it is initialised. But a rank that is in
// MPI_Init when its mpirun is killed would wait for ever (seen with 4.1.4: it sleeps on a condition that only
// the closed connection could have met). Does nothing on systems other than Linux, and for processes that
// mpirun did not start.
void launcher_watch(void);
