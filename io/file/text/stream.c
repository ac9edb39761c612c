#include "io/file/text/stream.h"

#include "io/file/interrupt.h"
#include "io/file/limits.h"
#include "io/file/regular.h"
#include "io/file/text/not_text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

enum { BUFFER_BYTES = 1 << 18 };

struct stream {
    char path[PATH_MAX];
    int fd;
    XXH3_state_t *hash;
    uint64_t disk_bytes; // read so far
    bool disk_end;
    struct unpacker *unpacker; // NULL: plain text
    struct unpack_buffers buffers;
    uint64_t text_bytes; // given so far
    bool after_return;   // the text so far ended with a carriage return, given as a newline
    struct stream_facts facts;
    char disk[BUFFER_BYTES], text[4 * BUFFER_BYTES];
};

// Reads until the buffer is full or the file ends.
static enum status read_disk(struct stream *stream, struct error *err)
{
    size_t filled = 0;

    FORWARD_IF_ERROR(interrupt_check(err));
    while (filled < sizeof stream->disk && !stream->disk_end) {
        const ssize_t got = read(stream->fd, stream->disk + filled, sizeof stream->disk - filled);
        if (got < 0 && errno == EINTR)
            continue;
        RETURN_ERROR_IF(got < 0, err, STATUS_FAILED, "%s: reading failed: %s", stream->path, strerror(errno));
        filled += (size_t)got;
        stream->disk_end = got == 0;
    }
    stream->disk_bytes += filled;
    XXH3_64bits_update(stream->hash, stream->disk, filled);
    stream->buffers.in = (const unsigned char *)stream->disk;
    stream->buffers.in_size = filled;
    return STATUS_OK;
}

static enum status open_file(struct stream *stream, const char *path, struct error *err)
{
    const size_t length = strlen(path);
    RETURN_ERROR_IF(length >= sizeof stream->path, err, STATUS_INPUT, "%.200s...: the name is too long",
                    path);
    memcpy(stream->path, path, length + 1);
    stream->hash = XXH3_createState();
    RETURN_ERROR_IF(stream->hash == NULL || XXH3_64bits_reset(stream->hash) != XXH_OK, err, STATUS_MEMORY,
                    "%s: out of memory for its hash", path);
    FORWARD_IF_ERROR(regular_open(&stream->fd, path, O_RDONLY, STATUS_INPUT, err));
    FORWARD_IF_ERROR(read_disk(stream, err));
    stream->facts.packing = packing_of(path, stream->buffers.in, stream->buffers.in_size);
    if (stream->facts.packing != PACKING_NONE)
        FORWARD_IF_ERROR(unpacker_create(&stream->unpacker, stream->facts.packing, stream->path, err));
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
    unpacker_free(stream->unpacker);
    if (stream->fd >= 0)
        close(stream->fd);
    XXH3_freeState(stream->hash);
    free(stream);
}

const struct stream_facts *stream_facts(const struct stream *stream)
{
    return &stream->facts;
}

double stream_share(const struct stream *stream)
{
    struct stat info;
    const uint64_t unread = stream->buffers.in_size;
    if ((stream->disk_end && unread == 0) || fstat(stream->fd, &info) != 0 || info.st_size == 0)
        return 1;
    return fmin(1, (double)(stream->disk_bytes - unread) / (double)info.st_size);
}

uint64_t stream_hash(const struct stream *stream)
{
    return XXH3_64bits_digest(stream->hash);
}

static enum status read_compressed(struct stream *stream, size_t *size, struct error *err)
{
    struct unpack_buffers *buffers = &stream->buffers;
    bool moves = true;

    buffers->out = stream->text;
    buffers->out_size = sizeof stream->text;
    FORWARD_IF_ERROR(interrupt_check(err));
    while (moves && buffers->out_size > 0) {
        if (buffers->in_size == 0 && !stream->disk_end)
            FORWARD_IF_ERROR(read_disk(stream, err));
        const size_t before = buffers->in_size + buffers->out_size;
        FORWARD_IF_ERROR(unpack(stream->unpacker, buffers, err));
        moves = buffers->in_size + buffers->out_size < before || !stream->disk_end;
    }
    *size = sizeof stream->text - buffers->out_size;
    if (*size == 0)
        return unpack_end(stream->unpacker, err);
    stream->text_bytes += *size;
    RETURN_ERROR_IF(stream->text_bytes > LIMIT_FREE_EXPANSION_BYTES &&
                        stream->text_bytes / LIMIT_EXPANSION > stream->disk_bytes - buffers->in_size,
                    err, STATUS_INPUT, "%s: unpacks to more than %" PRIu64 " times its size, as no text does",
                    stream->path, LIMIT_EXPANSION);
    return STATUS_OK;
}

static enum status read_plain(struct stream *stream, size_t *size, struct error *err)
{
    if (stream->buffers.in_size == 0 && !stream->disk_end)
        FORWARD_IF_ERROR(read_disk(stream, err));
    *size = stream->buffers.in_size;
    stream->buffers.in_size = 0;
    stream->text_bytes += *size;
    return STATUS_OK;
}

// As Python reads a text file: "\r\n" and "\r" become "\n". In place; the new size.
static size_t translate_newlines(struct stream *stream, char *text, size_t size)
{
    const char *next = text, *const end = text + size;
    char *to = text;

    if (stream->after_return && size > 0 && *next == '\n')
        next++;
    stream->after_return = size == 0 && stream->after_return;
    while (next < end) {
        const char *found = memchr(next, '\r', (size_t)(end - next));
        const size_t length = (size_t)((found != NULL ? found : end) - next);
        if (to != next)
            memmove(to, next, length);
        to += length;
        next += length;
        if (found == NULL)
            break;
        stream->facts.returns = true;
        *to++ = '\n';
        next++;
        if (next == end)
            stream->after_return = true;
        else if (*next == '\n')
            next++;
    }
    return (size_t)(to - text);
}

enum status stream_read(struct stream *stream, const char **bytes, size_t *size, struct error *err)
{
    char *text = stream->unpacker != NULL ? stream->text : stream->disk;

    *bytes = text;
    *size = 0;
    for (size_t got = 1; got > 0 && *size == 0;) { // a newline alone may be the end of one that was given
        const bool is_first = stream->text_bytes == 0;
        size_t mark = 0;
        FORWARD_IF_ERROR(stream->unpacker != NULL ? read_compressed(stream, &got, err)
                                                  : read_plain(stream, &got, err));
        if (is_first) {
            FORWARD_IF_ERROR(not_text_check(stream->path, text, got, err));
            stream->facts.mark = got >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0;
            mark = stream->facts.mark ? 3 : 0;
        }
        *bytes = text + mark;
        *size = translate_newlines(stream, text + mark, got - mark);
    }
    return STATUS_OK;
}
