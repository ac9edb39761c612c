// save.h - a page under a name that a user chose.
#pragma once
#include "kernels/error.h"
#include <stddef.h>

// Commits the page. A file of that name is replaced only when it is such a page too; what coppice did not
// make is left alone: STATUS_USAGE.
enum status page_save(const char *path, const char *bytes, size_t size, struct error *err);
