// committed_file.h - whether a committed file holds what was written.
#pragma once
#include "kernels/error.h"

// Compares a .json file with its seal and any other, an HDF5 file, with the checksums of its datasets.
// STATUS_DAMAGED when they do not match; err may be NULL.
enum status committed_file_check(const char *path, struct error *err);
