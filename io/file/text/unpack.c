#include "io/file/text/unpack.h"

#include <inttypes.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

struct unpacker {
    const char *path;
    enum packing packing;
    uint64_t taken;                                                        // bytes of the input
    enum { BEFORE_MEMBERS, IN_MEMBER, AFTER_MEMBER, IN_PADDING } position; // in the file
    z_stream zlib;
    bool inflating; // zlib's state is there
    ZSTD_DStream *zstd;
};

static const char *const names[] = {
    [PACKING_NONE] = "plain", [PACKING_GZIP] = "gzip", [PACKING_ZSTD] = "zstd"};

enum packing packing_of(const char *path, const unsigned char *bytes, size_t size)
{
    static const unsigned char gzip[2] = {0x1f, 0x8b}, zstd[4] = {0x28, 0xb5, 0x2f, 0xfd};
    // A skippable frame, with which pzstd begins: 0x184D2A50 to 0x184D2A5F.
    static const unsigned char skippable[3] = {0x2a, 0x4d, 0x18};
    const enum packing named = packing_of_name(path);

    if (size >= 2 && memcmp(bytes, gzip, 2) == 0)
        return PACKING_GZIP;
    if (size >= 4 &&
        (memcmp(bytes, zstd, 4) == 0 || ((bytes[0] & 0xf0) == 0x50 && memcmp(bytes + 1, skippable, 3) == 0)))
        return PACKING_ZSTD;
    const bool begins = (named == PACKING_GZIP && size < 2 && memcmp(bytes, gzip, size) == 0) ||
                        (named == PACKING_ZSTD && size < 4 && memcmp(bytes, zstd, size) == 0);
    return begins ? named : PACKING_NONE;
}

enum status unpacker_create(struct unpacker **out, enum packing packing, const char *path, struct error *err)
{
    struct unpacker *unpacker;

    *out = NULL;
    FORWARD_IF_ERROR(allocate(&unpacker, 1, sizeof *unpacker, "decompressing", err));
    unpacker->path = path;
    unpacker->packing = packing;
    if (packing == PACKING_GZIP) // 16: gzip's header and checksum, 15: its largest window
        unpacker->inflating = inflateInit2(&unpacker->zlib, 16 + 15) == Z_OK;
    else
        unpacker->zstd = ZSTD_createDStream();
    if (!unpacker->inflating && unpacker->zstd == NULL) {
        unpacker_free(unpacker);
        return error_set(err, STATUS_MEMORY, "%s: out of memory for decompressing", path);
    }
    *out = unpacker;
    return STATUS_OK;
}

void unpacker_free(struct unpacker *unpacker)
{
    if (unpacker == NULL)
        return;
    if (unpacker->inflating)
        inflateEnd(&unpacker->zlib);
    ZSTD_freeDStream(unpacker->zstd);
    free(unpacker);
}

static void take(struct unpacker *unpacker, struct unpack_buffers *buffers, size_t size)
{
    buffers->in += size;
    buffers->in_size -= size;
    unpacker->taken += size;
}

// After a member: another one, or zeros to the end of the file as tapes and some tools leave them.
static enum status skip_padding(struct unpacker *unpacker, struct unpack_buffers *buffers, struct error *err)
{
    while (buffers->in_size > 0 && *buffers->in == 0) {
        unpacker->position = IN_PADDING;
        take(unpacker, buffers, 1);
    }
    RETURN_ERROR_IF(unpacker->position == IN_PADDING && buffers->in_size > 0, err, STATUS_INPUT,
                    "%s: damaged gzip stream: something else follows at byte %" PRIu64, unpacker->path,
                    unpacker->taken);
    return STATUS_OK;
}

static unsigned at_most_unsigned(size_t size)
{
    return size < UINT_MAX ? (unsigned)size : UINT_MAX;
}

static enum status unpack_gzip(struct unpacker *unpacker, struct unpack_buffers *buffers, struct error *err)
{
    z_stream *zlib = &unpacker->zlib;

    if (unpacker->position >= AFTER_MEMBER)
        FORWARD_IF_ERROR(skip_padding(unpacker, buffers, err));
    if (buffers->in_size == 0)
        return STATUS_OK;
    unpacker->position = IN_MEMBER;
    zlib->next_in = (Bytef *)(uintptr_t)buffers->in; // which zlib only reads
    zlib->avail_in = at_most_unsigned(buffers->in_size);
    zlib->next_out = (Bytef *)buffers->out;
    zlib->avail_out = at_most_unsigned(buffers->out_size);
    const int result = inflate(zlib, Z_NO_FLUSH);
    take(unpacker, buffers, (size_t)(zlib->next_in - buffers->in));
    buffers->out_size -= (size_t)((char *)zlib->next_out - buffers->out);
    buffers->out = (char *)zlib->next_out;
    if (result == Z_STREAM_END) {
        unpacker->position = AFTER_MEMBER;
        inflateReset(zlib);
        return STATUS_OK;
    }
    RETURN_ERROR_IF(result == Z_MEM_ERROR, err, STATUS_MEMORY, "%s: out of memory for decompressing",
                    unpacker->path);
    RETURN_ERROR_IF(result != Z_OK && result != Z_BUF_ERROR, err, STATUS_INPUT,
                    "%s: damaged gzip stream before byte %" PRIu64 ": %s", unpacker->path, unpacker->taken,
                    zlib->msg != NULL ? zlib->msg : "a dictionary is asked for");
    return STATUS_OK;
}

static enum status unpack_zstd(struct unpacker *unpacker, struct unpack_buffers *buffers, struct error *err)
{
    ZSTD_inBuffer in = {buffers->in, buffers->in_size, 0};
    ZSTD_outBuffer out = {buffers->out, buffers->out_size, 0};
    const size_t result = ZSTD_decompressStream(unpacker->zstd, &out, &in);

    if (in.pos > 0)
        unpacker->position = IN_MEMBER;
    take(unpacker, buffers, in.pos);
    buffers->out += out.pos;
    buffers->out_size -= out.pos;
    // Windows beyond 128 MiB, of `zstd --long`, are refused by the library, which has to keep one in memory.
    RETURN_ERROR_IF(ZSTD_isError(result), err, STATUS_INPUT,
                    "%s: damaged zstd stream before byte %" PRIu64 ": %s", unpacker->path, unpacker->taken,
                    ZSTD_getErrorName(result));
    if (result == 0 && unpacker->position == IN_MEMBER)
        unpacker->position = AFTER_MEMBER;
    return STATUS_OK;
}

enum status unpack(struct unpacker *unpacker, struct unpack_buffers *buffers, struct error *err)
{
    return unpacker->packing == PACKING_GZIP ? unpack_gzip(unpacker, buffers, err)
                                             : unpack_zstd(unpacker, buffers, err);
}

enum status unpack_end(const struct unpacker *unpacker, struct error *err)
{
    RETURN_ERROR_IF(unpacker->position <= IN_MEMBER, err, STATUS_INPUT,
                    "%s: the %s stream is cut off after %" PRIu64 " bytes", unpacker->path,
                    names[unpacker->packing], unpacker->taken);
    return STATUS_OK;
}
