// commit.h - plain files that are either complete under their final name or not there at all:
// temporary name in the same folder, write, fsync, rename, fsync of the folder.
#pragma once
#include "kernels/error.h"
#include <stdint.h>

// Temporary files are called ".NAME.tmp-HOST-PID" and live in the folder of NAME. Host and process id keep
// two programs that share a file system apart. A program that holds a lock has its token in the place of HOST
// (io/file/fence.h).
//
// Writes the temporary name for final_path into out[size]. A path that does not fit, or a NAME that leaves no
// room for the suffix, is STATUS_FAILED.
enum status temporary_path(char *out, size_t size, const char *final_path, struct error *err);
// Not 0 when file_name (no folders) is one that temporary_path makes.
int commit_is_temporary(const char *file_name);

// Writes bytes to path in one step as above.
enum status commit_bytes(const char *path, const void *bytes, size_t size, struct error *err);

// The same in pieces, possibly at offsets. After a failure of any of these three the temporary file is gone
// and the file closed; commit_abandon may still be called. Errors are STATUS_FAILED and name the path and the
// system's reason.
struct commit_file {
    int fd;                 // -1 when nothing is open
    char *path, *temporary; // owned; NULL when nothing is open
};
enum status commit_begin(struct commit_file *file, const char *path, struct error *err);
enum status commit_write_at(struct commit_file *file, const void *bytes, size_t size, uint64_t offset,
                            struct error *err);
enum status commit_end(struct commit_file *file, struct error *err); // fsync, close, rename, fsync of folder
void commit_abandon(struct commit_file *file); // close and unlink; safe after a failure and after commit_end

// mkdir -p.
enum status make_directories(const char *path, struct error *err);
// fsync of a folder: makes the names in it durable. A file system that does not know this (EINVAL) is fine.
enum status sync_directory(const char *path, struct error *err);
// Reads a whole file into memory and adds one NUL at the end; *size (may be NULL) does not count it. Caller
// frees *bytes. A file that is not there, is no regular file or may not be read is STATUS_INPUT; a read that
// fails half-way is STATUS_FAILED. More than LIMIT_FILE_BYTES (limits.h), or than `most`, are STATUS_INPUT.
enum status read_file_up_to(char **bytes, size_t *size, size_t most, const char *path, struct error *err);
enum status read_file(char **bytes, size_t *size, const char *path, struct error *err);
// The same of a file of a run directory (run_file_open): STATUS_FAILED where it cannot be opened.
enum status read_run_file(char **bytes, size_t *size, const char *path, struct error *err);
