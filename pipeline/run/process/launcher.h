// launcher.h - a rank does not outlive the mpirun that started it, and it is one of those that were started.
#pragma once
#include "kernels/error.h"

// Call it before MPI_Init. When mpirun started this process and then ends, however it ends, the process ends
// too, with exit code 1. Open MPI sees to that by itself once it is initialised. But a rank that is in
// MPI_Init when its mpirun is killed would wait for ever (seen with 4.1.4: it sleeps on a condition that only
// the closed connection could have met). Does nothing on systems other than Linux, and for processes that
// mpirun did not start.
void launcher_watch(void);

// After MPI_Init. STATUS_USAGE when the launcher started several ranks (launched_world, asked before
// MPI_Init) and MPI has this one alone: mpirun is another MPI's, or srun's --mpi= does not fit. Each of them
// would do all the work, or find the run directory in use.
enum status launcher_check(size_t started, int ranks, struct error *err);
