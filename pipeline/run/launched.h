// launched.h - what a launcher (mpirun, srun) says of this process before MPI is asked.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// Whether this is rank 0, the one that speaks; true without a launcher.
bool launched_as_first(void);
// How many ranks were started; 1 without a launcher.
size_t launched_ranks(void);
