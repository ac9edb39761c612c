// unpack.h - decompression of a stream of bytes: gzip (RFC 1952) and Zstandard (RFC 8878).
#pragma once
#include "io/text/file_name.h"
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

// What the first bytes of a file, all of them where it has fewer than four, say. A file whose name asks for a
// packing, and that ends before its bytes could say so, is of that packing.
enum packing packing_of(const char *path, const unsigned char *bytes, size_t size);

struct unpacker;
enum status unpacker_create(struct unpacker **unpacker, enum packing packing, const char *path,
                            struct error *err);
void unpacker_free(struct unpacker *unpacker); // NULL is fine

// Bytes that are waiting to be unpacked, and room for what comes out.
struct unpack_buffers {
    const unsigned char *in;
    size_t in_size;
    char *out;
    size_t out_size;
};
// Moves on in both as far as possible. Members (frames) of one file follow each other; zeros may follow the
// last one of gzip. STATUS_INPUT for what is damaged.
enum status unpack(struct unpacker *unpacker, struct unpack_buffers *buffers, struct error *err);
// STATUS_INPUT where the input ends in the middle of a member, or before the first.
enum status unpack_end(const struct unpacker *unpacker, struct error *err);
