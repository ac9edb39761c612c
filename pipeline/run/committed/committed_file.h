// committed_file.h - whether a committed file holds what was written.
#pragma once
#include "kernels/error.h"
#include <stdint.h>

// Compares a .json file with its seal and any other, an HDF5 file, with the checksums of its datasets.
// STATUS_DAMAGED when they do not match; err may be NULL.
enum status committed_file_check(const char *path, struct error *err);

// What the file was made from, as run_record.h has it; 0 when it does not say, as files of
// earlier versions do not. Failures as above, STATUS_FAILED when it cannot be read, and STATUS_USAGE when it
// says that it is another file (io/file/origin.h).
enum status committed_file_made_from(uint64_t *made_from, const char *path, struct error *err);
