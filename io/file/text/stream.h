// stream.h - a text file read once from front to back, with the XXH3-64 of its bytes on disk. What its first
// bytes say counts, not its name: gzip and zstd are decompressed (unpack.h), what is no text is refused
// (not_text.h). As common readers do, a byte order mark of UTF-8 is left out, and "\r\n" and "\r" are read as
// "\n".
#pragma once
#include "io/file/text/unpack.h"
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

struct stream;

// What was found so far.
struct stream_facts {
    enum packing packing;
    bool mark;    // it begins with a byte order mark
    bool returns; // lines end in a carriage return
};

// STATUS_INPUT when path cannot be read. Freed with stream_close.
enum status stream_open(struct stream **stream, const char *path, struct error *err);
// The next bytes of the text, valid until the next call; *size 0 is the end. A gzip file of several members
// is their texts one after the other; one that is cut off, damaged or followed by something else is
// STATUS_INPUT, and so are one that unpacks to 200 times its size and more, and what is no text.
enum status stream_read(struct stream *stream, const char **bytes, size_t *size, struct error *err);
const struct stream_facts *stream_facts(const struct stream *stream);
// The part of the file that was read so far, 0 to 1; 1 of an empty file.
double stream_share(const struct stream *stream);
// XXH3-64 of the bytes on disk. Only after the end.
uint64_t stream_hash(const struct stream *stream);
void stream_close(struct stream *stream); // NULL is fine
