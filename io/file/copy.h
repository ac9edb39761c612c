// copy.h - a file of any size, copied piece by piece.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

// Commits the bytes of `from` under `to` (io/file/commit.h). Takes a megabyte of memory; the holes of a
// sparse file stay holes where both file systems know them. stops (NULL: never) is asked with `context` after
// each megabyte: true ends it, STATUS_STOPPED. A source that cannot be read, or is no regular file, is
// STATUS_INPUT.
enum status copy_file(const char *from, const char *to, bool (*stops)(void *context), void *context,
                      struct error *err);

// The bytes that such a copy takes on disk: without the holes. info: a struct stat of the source.
struct stat;
uint64_t copied_bytes(const struct stat *info);
