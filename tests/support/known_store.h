// known_store.h - the file that the store's tests write: several types and shapes, groups, attributes, rows
// in several calls, datasets declared after the first write.
#pragma once
#include "io/store/store.h"

// Collective. piece: largest transfer in bytes, 0 for the store's own.
enum status write_known(const char *path, MPI_Comm comm, uint64_t piece, struct error *err);
// Collective. The file holds what write_known wrote, else the test fails.
void check_known(const char *path, MPI_Comm comm);
