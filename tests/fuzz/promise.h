// promise.h - what every target asks of what it reads.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

// Ends the program, with the place, when a promise is broken.
#define PROMISE(kept) promise_((kept), #kept, __FILE__, __LINE__)
void promise_(bool kept, const char *what, const char *file, int line);

#define MAY(status) (1U << (status))
// The status is one of `allowed` (MAY(STATUS_INPUT) | ...) or STATUS_OK; a failure has the same status in
// err, and one printable line. Returns whether it is STATUS_OK.
#define OUTCOME(status, err, allowed) outcome_((status), &(err), (allowed), __FILE__, __LINE__)
bool outcome_(enum status status, const struct error *err, unsigned allowed, const char *file, int line);

bool is_utf8(const void *text, size_t size);

// A folder of this process, in memory where there is one; removed at its end.
const char *work_folder(void);
// FOLDER/name, which is written; good until the next but seven calls. A '/' in name makes a folder.
const char *work_file(const char *name, const void *bytes, size_t size);
const char *work_path(const char *name);
// The file's bytes, to be freed.
void *file_bytes(const char *path, size_t *size);
