// mpi_room.h - whether MPI can start at all. Where addresses are few (ulimit -v), Open MPI may end the
// program by a fault of its own, or with pages of its own messages; where files may not grow (ulimit -f), its
// ranks wait for ever for shared memory, which is a file.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>

// Before MPI_Init: STATUS_MEMORY or STATUS_FAILED when a limit leaves too little. first: this is the rank
// that speaks; another one waits a moment before it returns the error, in which the launcher ends it if the
// first has failed, too.
enum status mpi_room_check(bool first, struct error *err);
