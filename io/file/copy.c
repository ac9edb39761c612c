#include "io/file/copy.h"

#include "io/file/commit.h"
#include "io/file/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20, STAT_BLOCK = 512 };

struct copy {
    struct commit_file target;
    int source;
    const char *path; // of the source
    char *piece;      // [PIECE]
    bool (*stops)(void *context);
    void *context;
};

// Copies [at, end), or up to the end of a file that has become shorter.
static enum status copy_range(struct copy *copy, off_t at, off_t end, struct error *err)
{
    while (at < end) {
        const size_t wanted = end - at < PIECE ? (size_t)(end - at) : PIECE;
        const ssize_t got = pread(copy->source, copy->piece, wanted, at);
        if (got < 0 && errno == EINTR)
            continue;
        RETURN_ERROR_IF(got < 0, err, STATUS_FAILED, "%s: reading failed: %s", copy->path, strerror(errno));
        RETURN_ERROR_IF(got == 0, err, STATUS_INPUT, "%s: became shorter while it was copied", copy->path);
        FORWARD_IF_ERROR(commit_write_at(&copy->target, copy->piece, (size_t)got, (uint64_t)at, err));
        at += got;
        RETURN_ERROR_IF(copy->stops != NULL && copy->stops(copy->context), err, STATUS_STOPPED,
                        "told to stop");
    }
    return STATUS_OK;
}

// Where data begins from `at` on, and where it ends; false when there is none up to `size`. A file system
// that does not know holes has one stretch of data.
static bool find_data(const struct copy *copy, off_t at, off_t size, off_t *begin, off_t *end)
{
    *begin = lseek(copy->source, at, SEEK_DATA);
    if (*begin < 0 && errno == ENXIO)
        return false;
    if (*begin < 0)
        *begin = at;
    *end = lseek(copy->source, *begin, SEEK_HOLE);
    if (*end < 0 || *end > size)
        *end = size;
    return *begin < size;
}

static enum status copy_data(struct copy *copy, struct error *err)
{
    struct stat info;
    off_t at = 0, begin, end;

    RETURN_ERROR_IF(fstat(copy->source, &info) != 0, err, STATUS_FAILED, "%s: %s", copy->path,
                    strerror(errno));
    for (; find_data(copy, at, info.st_size, &begin, &end); at = end)
        FORWARD_IF_ERROR(copy_range(copy, begin, end, err));
    RETURN_ERROR_IF(ftruncate(copy->target.fd, info.st_size) != 0, err, STATUS_FAILED,
                    "%s: writing failed: %s", copy->target.path, strerror(errno));
    return STATUS_OK;
}

enum status copy_file(const char *from, const char *to, bool (*stops)(void *context), void *context,
                      struct error *err)
{
    struct copy copy = {.path = from, .stops = stops, .context = context};
    enum status status;

    FORWARD_IF_ERROR(regular_open(&copy.source, from, O_RDONLY, STATUS_INPUT, err));
    GOTO_IF_ERROR(allocate(&copy.piece, PIECE, 1, "copying a file", err), done);
    GOTO_IF_ERROR(commit_begin(&copy.target, to, err), done);
    status = copy_data(&copy, err);
    if (status == STATUS_OK)
        status = commit_end(&copy.target, err);
    else
        commit_abandon(&copy.target);
done:
    free(copy.piece);
    close(copy.source);
    return status;
}

uint64_t copied_bytes(const struct stat *info)
{
    const uint64_t size = (uint64_t)info->st_size, stored = (uint64_t)info->st_blocks * STAT_BLOCK;
    return stored < size ? stored : size;
}
