// agree.h - how the ranks of a communicator leave a step together: with one status and one message.
#pragma once
#include "kernels/error.h"
#include <mpi.h>
#include <stdint.h>

// Rank and size within comm. MPI_COMM_SELF is answered without MPI, so that code for one process alone also
// runs where MPI was never initialised.
void comm_shape(MPI_Comm comm, int *rank, int *size);

// Collective. Returns the worst status of all ranks (the largest) and fills err, on every rank, with the
// message of the lowest rank that has it, after "rank R: " when R is not 0. err (may be NULL) holds this
// rank's own message on entry if mine is not STATUS_OK, and is not touched when all is well.
enum status agree(MPI_Comm comm, enum status mine, struct error *err);

// The same in one step with the maximum of *value over the ranks, which every rank gets back in *value.
enum status agree_max(MPI_Comm comm, enum status mine, uint64_t *value, struct error *err);

// STATUS_FAILED with MPI's own words for `code`, after "what: ".
enum status mpi_failed(int code, const char *what, struct error *err);
