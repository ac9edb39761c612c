// stream.h - a file read once from front to back, decompressed when its name ends in ".gz", with the XXH3-64
// of its bytes on disk.
#pragma once
#include "kernels/error.h"
#include <stdint.h>

struct stream;

// STATUS_INPUT when path cannot be read. Freed with stream_close.
enum status stream_open(struct stream **stream, const char *path, struct error *err);
// The next bytes of the text, valid until the next call; *size 0 is the end. A gzip file of several members
// is their texts one after the other; one that is cut off, damaged or followed by something else is
// STATUS_INPUT.
enum status stream_read(struct stream *stream, const char **bytes, size_t *size, struct error *err);
// The part of the file that was read so far, 0 to 1; 1 of an empty file.
double stream_share(const struct stream *stream);
// XXH3-64 of the bytes on disk. Only after the end.
uint64_t stream_hash(const struct stream *stream);
void stream_close(struct stream *stream); // NULL is fine
