// rank.h - this process's rank as its launcher says, before MPI is there: of Open MPI, or PMI (MPICH's Hydra,
// srun).
#pragma once
#include <stdlib.h>

// NULL without a launcher.
static inline const char *rank_of_launcher(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    return rank != NULL ? rank : getenv("PMI_RANK");
}
