#include "stages/export/read_back.h"

#include "io/file/regular.h"
#include "stages/export/read_back_layer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The header, the file's length, and this rank's tensors that are not from the store.
static enum status compare_rest(struct read_back *back, struct error *err)
{
    const struct safetensors_file *source = back->source;
    const struct team *team = back->stage->team;
    const void *header = back->biases.count > 0 ? (const void *)back->biases.header : source->exported.header;
    uint64_t length = back->header_bytes + source->exported.data_bytes;
    struct stat info;

    for (size_t i = 0; i < back->biases.count; i++)
        length += back->biases.items[i].out * dtype_size(back->biases.items[i].dtype);
    if (team->rank == 0) {
        FORWARD_IF_ERROR(read_back_compare(back, "its header", header, back->header_bytes, 0, err));
        RETURN_ERROR_IF(fstat(back->fd, &info) != 0, err, STATUS_FAILED, "%s: %s", back->path,
                        strerror(errno));
        if ((uint64_t)info.st_size != length)
            return read_back_difference(back, "its end", "the file is longer than its tensors", err);
    }
    for (size_t i = (size_t)team->rank; i < source->count; i += (size_t)team->size)
        if (!back->from_store[i])
            FORWARD_IF_ERROR(read_back_tensor(back, &source->tensors[i], err));
    for (size_t i = (size_t)team->rank; i < source->stored_count; i += (size_t)team->size)
        if (back->stage->model->checkpoint->keeps_codes && source->is_left_out[i])
            FORWARD_IF_ERROR(read_back_tensor(back, &source->stored[i], err));
    return STATUS_OK;
}

enum status export_read_back(const struct stage *stage, const struct variant *variant, size_t index,
                             const char *path, bool *differs, struct error *err)
{
    struct read_back back = {.stage = stage,
                             .variant = variant,
                             .source = stage->model->checkpoint->shards[index],
                             .path = path,
                             .fd = -1};
    enum status status =
        allocate(&back.from_store, back.source->count, sizeof *back.from_store, "shard", err);

    if (status == STATUS_OK)
        status = added_biases_create(&back.biases, stage, variant, index, err);
    if (status == STATUS_OK)
        status = run_file_open(&back.fd, path, O_RDONLY, err);
    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    back.header_bytes = back.biases.count > 0 ? back.biases.header_bytes : back.source->exported.header_bytes;
    for (size_t layer = 0; layer < stage->model->config.num_hidden_layers; layer++) {
        GOTO_IF_ERROR(stage_safe_point(stage, STATUS_OK, 1, err), done);
        GOTO_IF_ERROR(read_back_layer(&back, layer, err), done);
    }
    status = team_agree(stage->team, compare_rest(&back, err), err);
done:
    *differs = team_any(stage->team, back.differs);
    if (back.fd >= 0)
        close(back.fd);
    added_biases_free(&back.biases);
    free(back.found);
    free(back.from_store);
    return status;
}
