// save.h - files that may take the place of others: only of what coppice made itself.
#pragma once
#include "kernels/error.h"
#include <stddef.h>

// STATUS_USAGE when something is there that has no `mark` in it: coppice did not make it, and it is left
// alone.
enum status replaceable_check(const char *path, const char *mark, struct error *err);

// Commits a page under a name that a user chose, where there is nothing or an earlier page.
enum status page_save(const char *path, const char *bytes, size_t size, struct error *err);
