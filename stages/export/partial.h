// partial.h - the hidden folder in which an export grows: next to its output, so that the last step is one
// rename. Not collective; one rank.
#pragma once
#include "kernels/error.h"
#include <stddef.h>

// ".NAME.partial-IDENTITY" beside the output NAME; with the token of the program that holds the lock
// "-TOKEN" behind (io/file/fence.h).
void partial_path(char *path, size_t size, const char *output, const char *identity);

// What an earlier program left of that export: path[size], or "" when there is nothing.
void partial_find(char *path, size_t size, const char *output, const char *identity);

// Makes the folder partial_path, of what an earlier program left where there is something: that is renamed,
// so that a program which lost its lock, and wakes, has no folder any more. Temporary files in it are
// removed.
enum status partial_begin(const char *output, const char *identity, struct error *err);

// Gives it its final name, and makes that durable.
enum status partial_publish(const char *partial, const char *output, struct error *err);

// Removes the folder, in which there are only files.
void partial_remove(const char *partial);
