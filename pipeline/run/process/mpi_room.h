// mpi_room.h - whether MPI can start at all. Where addresses are few (ulimit -v), Open MPI may end the
// program by a fault of its own, or with pages of its own messages; where files may not grow (ulimit -f), its
// ranks wait for ever for shared memory, which is a file.
#pragma once
#include "kernels/error.h"

// Before MPI_Init: STATUS_MEMORY or STATUS_FAILED when a limit leaves too little. What is needed depends on
// which MPI this is and on how many ranks the node has; of an MPI that is not known nothing is said.
enum status mpi_room_check(struct error *err);
// MPI_Init, also where the environment has no HOME (a service, a container), without which Open MPI 5 does
// not start.
void mpi_room_start(int *argc, char ***argv);
