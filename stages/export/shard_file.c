#include "stages/export/shard_file.h"

#include "io/file/run_paths.h"
#include "io/model/weights/coded.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const size_t piece_bytes = (size_t)16 << 20; // copied at a time

enum status shard_begin(struct shard *shard, const char *path, struct error *err)
{
    const struct team *team = shard->stage->team;
    char temporary[PATH_SIZE] = "";
    enum status status = STATUS_OK;

    shard->file.fd = -1;
    if (team->rank == 0) {
        status = commit_begin(&shard->file, path, err);
        if (status == STATUS_OK)
            snprintf(temporary, sizeof temporary, "%s", shard->file.temporary);
    }
    FORWARD_IF_ERROR(team_agree(team, status, err));
    FORWARD_IF_ERROR(team_broadcast(team, temporary, sizeof temporary, 0, err));
    if (team->rank != 0) {
        shard->file.fd = open(temporary, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
        shard->file.path = strdup(path);
        if (shard->file.fd < 0 || shard->file.path == NULL)
            status = error_set(err, STATUS_FAILED, "%s: %s", temporary, strerror(errno));
    }
    return team_agree(team, status, err);
}

enum status shard_end(struct shard *shard, enum status mine, struct error *err)
{
    const struct team *team = shard->stage->team;

    if (mine == STATUS_OK && team->rank != 0 && fsync(shard->file.fd) != 0)
        mine = error_set(err, STATUS_FAILED, "%s: fsync: %s", shard->file.path, strerror(errno));
    mine = team_agree(team, mine, err);
    if (team->rank != 0) {
        if (shard->file.fd >= 0)
            close(shard->file.fd);
        free(shard->file.path);
    } else if (mine == STATUS_OK) {
        mine = commit_end(&shard->file, err);
    } else {
        commit_abandon(&shard->file);
    }
    return team_agree(team, mine, err);
}

// Reads a byte of every page, so that a page that cannot be read raises its signal here, where the source is
// to blame: a write would return an error that looks like the new file's.
static void touch_pages(const uint8_t *bytes, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    volatile uint8_t seen;
    for (size_t i = 0; i < size; i += page)
        seen = bytes[i];
    seen = bytes[size - 1];
    (void)seen;
}

enum status shard_copy_bytes(struct shard *shard, const uint8_t *bytes, uint64_t size, uint64_t offset,
                             struct error *err)
{
    for (uint64_t done = 0; done < size; done += piece_bytes) {
        size_t n = size - done < piece_bytes ? (size_t)(size - done) : piece_bytes;
        touch_pages(bytes + done, n);
        FORWARD_IF_ERROR(commit_write_at(&shard->file, bytes + done, n, offset + done, err));
        safetensors_release(shard->source, bytes + done, n);
    }
    return STATUS_OK;
}

bool shard_keeps_codes(const struct shard *shard, const struct safetensors_tensor *tensor)
{
    return tensor->coding != NULL && shard->stage->model->checkpoint->keeps_codes;
}

enum status shard_copy_tensor(struct shard *shard, const struct safetensors_tensor *tensor, struct error *err)
{
    const uint64_t begin = shard->header_bytes + tensor->begin, size = tensor->end - tensor->begin;
    char *piece = NULL;
    enum status status;

    if (tensor->coding == NULL || shard_keeps_codes(shard, tensor))
        return shard_copy_bytes(shard, tensor->coding == NULL ? tensor->data : tensor->coding->codes.data,
                                size, begin, err);
    status = allocate(&piece, size < piece_bytes ? (size_t)size : piece_bytes, 1, "a part of a weight", err);
    for (uint64_t done = 0; done < size && status == STATUS_OK; done += piece_bytes) {
        const size_t n = size - done < piece_bytes ? (size_t)(size - done) : piece_bytes;
        const size_t element = dtype_size(tensor->dtype);
        tensor_elements(piece, tensor, done / element, n / element);
        status = commit_write_at(&shard->file, piece, n, begin + done, err);
    }
    safetensors_release(shard->source, tensor->coding->codes.data,
                        tensor->coding->codes.end - tensor->coding->codes.begin);
    free(piece);
    return status;
}
