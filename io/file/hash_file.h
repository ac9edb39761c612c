// hash_file.h - the XXH3-64 of all of a file, as `xxhsum -H3` has it.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

// Reads the regular file in pieces; *bytes (may be NULL): how many there were. After each piece
// interrupt_check is asked, and stops (NULL: never) with `context`: STATUS_STOPPED when one says so.
// STATUS_INPUT when the file cannot be opened.
enum status hash_file(uint64_t *hash, uint64_t *bytes, const char *path, bool (*stops)(void *context),
                      void *context, struct error *err);
