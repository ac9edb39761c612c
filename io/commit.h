// commit.h - plain files that are either complete under their final name or not there at all:
// temporary name in the same folder, write, fsync, rename, fsync of the folder.
#pragma once
#include "kernels/error.h"
#include <stdint.h>

// Temporary files are called ".NAME.tmp-PID"-like; commit_is_temporary tells one by its name.
int commit_is_temporary(const char *file_name);

// Writes bytes to path in one step as above.
enum status commit_bytes(const char *path, const void *bytes, size_t size, struct error *err);

// The same in pieces, possibly at offsets. Every failure unlinks the temporary file.
struct commit_file {
    int fd;
    char *path, *temporary;
};
enum status commit_begin(struct commit_file *file, const char *path, struct error *err);
enum status commit_write_at(struct commit_file *file, const void *bytes, size_t size, uint64_t offset,
                            struct error *err);
enum status commit_end(struct commit_file *file, struct error *err); // fsync, close, rename, fsync of folder
void commit_abandon(struct commit_file *file);                       // close and unlink; safe after a failure

// mkdir -p. fsync of a directory. Whole file into memory (NUL added; caller frees).
enum status make_directories(const char *path, struct error *err);
enum status sync_directory(const char *path, struct error *err);
enum status read_file(char **bytes, size_t *size, const char *path, struct error *err);
