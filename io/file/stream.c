#include "io/file/stream.h"

#include "io/file/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>

enum { BUFFER_BYTES = 1 << 18 };

struct stream {
    char path[PATH_MAX];
    int fd;
    XXH3_state_t *hash;
    uint64_t disk_bytes; // read so far
    bool disk_end;
    bool compressed, inflating;                                            // inflating: zlib's state is there
    enum { BEFORE_MEMBERS, IN_MEMBER, AFTER_MEMBER, IN_PADDING } position; // in the gzip file
    z_stream zlib;
    unsigned char disk[BUFFER_BYTES], text[4 * BUFFER_BYTES];
};

static enum status open_file(struct stream *stream, const char *path, struct error *err)
{
    const size_t length = strlen(path);
    RETURN_ERROR_IF(length >= sizeof stream->path, err, STATUS_INPUT, "%.200s...: the name is too long",
                    path);
    memcpy(stream->path, path, length + 1);
    stream->compressed = length >= 3 && strcmp(path + length - 3, ".gz") == 0;
    stream->hash = XXH3_createState();
    RETURN_ERROR_IF(stream->hash == NULL || XXH3_64bits_reset(stream->hash) != XXH_OK, err, STATUS_MEMORY,
                    "%s: out of memory for its hash", path);
    FORWARD_IF_ERROR(regular_open(&stream->fd, path, O_RDONLY, STATUS_INPUT, err));
    // 16: gzip's header and checksum, 15: its largest window.
    RETURN_ERROR_IF(stream->compressed && inflateInit2(&stream->zlib, 16 + 15) != Z_OK, err, STATUS_MEMORY,
                    "%s: out of memory for decompressing", path);
    stream->inflating = stream->compressed;
    return STATUS_OK;
}

enum status stream_open(struct stream **out, const char *path, struct error *err)
{
    struct stream *stream;

    *out = NULL;
    FORWARD_IF_ERROR(allocate(&stream, 1, sizeof *stream, "reading a file", err));
    stream->fd = -1;
    const enum status status = open_file(stream, path, err);
    if (status != STATUS_OK) {
        stream_close(stream);
        return status;
    }
    *out = stream;
    return STATUS_OK;
}

void stream_close(struct stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->inflating)
        inflateEnd(&stream->zlib);
    if (stream->fd >= 0)
        close(stream->fd);
    XXH3_freeState(stream->hash);
    free(stream);
}

double stream_share(const struct stream *stream)
{
    struct stat info;
    const uint64_t unread = stream->zlib.avail_in; // of what is in memory; 0 of plain text
    if (stream->disk_end || fstat(stream->fd, &info) != 0 || info.st_size == 0)
        return 1;
    return fmin(1, (double)(stream->disk_bytes - unread) / (double)info.st_size);
}

uint64_t stream_hash(const struct stream *stream)
{
    return XXH3_64bits_digest(stream->hash);
}

static enum status read_disk(struct stream *stream, size_t *size, struct error *err)
{
    ssize_t got;

    do {
        got = read(stream->fd, stream->disk, sizeof stream->disk);
    } while (got < 0 && errno == EINTR);
    RETURN_ERROR_IF(got < 0, err, STATUS_FAILED, "%s: reading failed: %s", stream->path, strerror(errno));
    *size = (size_t)got;
    stream->disk_bytes += *size;
    stream->disk_end = got == 0;
    XXH3_64bits_update(stream->hash, stream->disk, *size);
    return STATUS_OK;
}

// After a member: another one, or zeros to the end of the file as tapes and some tools leave them.
static enum status skip_padding(struct stream *stream, struct error *err)
{
    while (stream->zlib.avail_in > 0 && *stream->zlib.next_in == 0) {
        stream->position = IN_PADDING;
        stream->zlib.next_in++;
        stream->zlib.avail_in--;
    }
    RETURN_ERROR_IF(stream->position == IN_PADDING && stream->zlib.avail_in > 0, err, STATUS_INPUT,
                    "%s: damaged gzip stream: something else follows at byte %" PRIu64, stream->path,
                    stream->disk_bytes - stream->zlib.avail_in);
    return STATUS_OK;
}

static enum status inflate_some(struct stream *stream, struct error *err)
{
    if (stream->position == AFTER_MEMBER || stream->position == IN_PADDING)
        FORWARD_IF_ERROR(skip_padding(stream, err));
    if (stream->zlib.avail_in == 0)
        return STATUS_OK;
    stream->position = IN_MEMBER;
    const int result = inflate(&stream->zlib, Z_NO_FLUSH);
    if (result == Z_STREAM_END) {
        stream->position = AFTER_MEMBER;
        inflateReset(&stream->zlib);
        return STATUS_OK;
    }
    RETURN_ERROR_IF(result == Z_MEM_ERROR, err, STATUS_MEMORY, "%s: out of memory for decompressing",
                    stream->path);
    RETURN_ERROR_IF(result != Z_OK && result != Z_BUF_ERROR, err, STATUS_INPUT,
                    "%s: damaged gzip stream before byte %" PRIu64 ": %s", stream->path,
                    stream->disk_bytes - stream->zlib.avail_in,
                    stream->zlib.msg != NULL ? stream->zlib.msg : "a dictionary is asked for");
    return STATUS_OK;
}

static enum status read_compressed(struct stream *stream, size_t *size, struct error *err)
{
    stream->zlib.next_out = stream->text;
    stream->zlib.avail_out = sizeof stream->text;
    while (stream->zlib.avail_out > 0) {
        if (stream->zlib.avail_in == 0 && !stream->disk_end) {
            size_t got;
            FORWARD_IF_ERROR(read_disk(stream, &got, err));
            stream->zlib.next_in = stream->disk;
            stream->zlib.avail_in = (uInt)got;
        }
        if (stream->zlib.avail_in == 0)
            break;
        FORWARD_IF_ERROR(inflate_some(stream, err));
    }
    *size = sizeof stream->text - stream->zlib.avail_out;
    RETURN_ERROR_IF(*size == 0 && stream->position <= IN_MEMBER, err, STATUS_INPUT,
                    "%s: the gzip stream is cut off after %" PRIu64 " bytes", stream->path,
                    stream->disk_bytes);
    return STATUS_OK;
}

enum status stream_read(struct stream *stream, const char **bytes, size_t *size, struct error *err)
{
    *bytes = (const char *)(stream->compressed ? stream->text : stream->disk);
    *size = 0;
    return stream->compressed ? read_compressed(stream, size, err) : read_disk(stream, size, err);
}
