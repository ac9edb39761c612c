// bus_error.h - the checkpoint is mapped into memory; when a page of it cannot be read, the system does not
// return an error but sends SIGBUS: the file became shorter while it was in use, or its disk fails.
#pragma once
#include "io/model/checkpoint.h"

// From now on such a page ends the program, and with it all ranks, with exit code 1 and a line on standard
// error that names the file. After MPI_Init, which has a handler of its own. rank: in the message, from 1 on.
void bus_error_watch(int rank);
// The files to be named; NULL: none, before they are unmapped.
void bus_error_name(const struct checkpoint *checkpoint);
