// regular.h - opening files that others made or may have replaced.
#pragma once
#include "kernels/error.h"
#include <stddef.h>

// Opens path with open's `flags` (a new file gets mode 0666), without blocking: a FIFO, a device, a socket or
// a folder is refused at once, where open alone may wait for ever. *fd is -1 after a failure, which has the
// status `refusal`, or STATUS_FAILED where the system failed (no memory, too many open files, a disk's
// error), which says nothing about the file; errno is open's then, and EINVAL for what is no regular file.
enum status regular_open(int *fd, const char *path, int flags, enum status refusal, struct error *err);
// The same for a file of a run directory, which is never reached through a symbolic link under its own name:
// whoever can put one there could have another file read or written. A folder on the way may be a link.
enum status run_file_open(int *fd, const char *path, int flags, struct error *err);
// The first bytes of a regular file, as many as there are up to size; 0 where there is none, or it cannot be
// read.
size_t regular_read_beginning(void *bytes, size_t size, const char *path);
