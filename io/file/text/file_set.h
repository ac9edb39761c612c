// file_set.h - the files that one path of a job stands for: the file itself, the texts in a folder, or those
// that a shell pattern fits.
#pragma once
#include "kernels/error.h"
#include <stddef.h>
#include <stdint.h>

struct file_set {
    size_t count, found; // found: before those beyond `enough` were left out
    char **paths;        // [count], in the order of their bytes
    uint64_t *bytes;     // [count] their sizes on disk
    uint64_t total;      // of the count
};

// Of a folder: its own files (none of folders in it) whose names are those of texts (text_name_of);
// hidden ones do not count; one that holds Parquet files as well is STATUS_INPUT. Of a path that is
// no file and has one of the characters *, ? and [ in it: what glob(3) finds. Only the first ones, those that
// together have `enough` bytes; UINT64_MAX: all. STATUS_INPUT where there is none, or one is no regular file.
// Freed with file_set_free, also after a failure.
enum status file_set_find(struct file_set *set, const char *path, uint64_t enough, struct error *err);
void file_set_free(struct file_set *set); // zeroed is fine
