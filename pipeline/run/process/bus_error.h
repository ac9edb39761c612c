// bus_error.h - ends the program with a clear message when the checkpoint can no longer be read.
//
// The checkpoint is mapped into memory. When a page of it cannot be read, because the file became shorter or
// the disk is failing, the system does not return an error but sends SIGBUS.
#pragma once
#include "io/model/weights/checkpoint.h"

// From now on such a page ends the program, and with it all ranks, with exit code 1 and a line on standard
// error that names the file. Call it after MPI_Init, which sets a handler of its own. The message says the
// rank, unless it is 0.
void bus_error_watch(int rank);
// The files that the message may name; they must stay mapped until the next call. NULL: none.
void bus_error_name(const struct checkpoint *checkpoint);
