#include "stages/export/shard.h"

#include "io/file/run_paths.h"
#include "io/model/tensor_rows.h"
#include "io/store/store.h"
#include "stages/export/code_matrices.h"
#include "stages/export/layer_orders.h"
#include "stages/export/part_slices.h"
#include "stages/export/shard_file.h"
#include "stages/layer/layer_overlay.h"

#include <stdlib.h>

static const size_t piece_bytes = (size_t)16 << 20; // rows written at a time

// Rows [row, row + n) of a tensor, to the places where the order has them.
static enum status write_in_order(struct shard *shard, const struct layer_tensor *tensor,
                                  const struct tensor_order *order, const uint8_t *rows, size_t row, size_t n,
                                  struct error *err)
{
    const size_t element = dtype_size(tensor->tensor->dtype), row_bytes = tensor->in * element;
    const uint64_t begin = shard->header_bytes + tensor->tensor->begin;
    void *room = NULL;
    enum status status;

    if (!tensor_moves(order))
        return commit_write_at(&shard->file, rows, n * row_bytes, begin + row * row_bytes, err);
    status = allocate(&room, tensor->in, element, "a row of a weight", err);
    for (size_t i = 0; i < n && status == STATUS_OK; i++)
        status = commit_write_at(&shard->file,
                                 exported_row(order, room, rows + i * row_bytes, tensor->in, element),
                                 row_bytes, begin + exported_place(order, row + i) * row_bytes, err);
    free(room);
    return status;
}

// This rank's rows of a pruned weight or of its bias, from dataset `name` to their place in the shard.
static enum status write_rows(struct shard *shard, const struct layer_tensor *tensor,
                              const struct tensor_order *order, const char *name,
                              const struct store_reader *weights, struct error *err)
{
    const struct team *team = shard->stage->team;
    const enum dtype dtype = tensor->tensor->dtype;
    const size_t row_bytes = tensor->in * dtype_size(dtype);
    const size_t rows_at_once = row_bytes < piece_bytes ? piece_bytes / row_bytes : 1;
    void *buffer = NULL;
    size_t first, count;
    enum status status;

    share_of(tensor->out, (size_t)team->rank, (size_t)team->size, &first, &count);
    status = allocate(&buffer, rows_at_once < count ? rows_at_once : count, row_bytes,
                      "rows of a pruned weight", err);
    for (size_t row = first; row < first + count && status == STATUS_OK; row += rows_at_once) {
        size_t n = first + count - row < rows_at_once ? first + count - row : rows_at_once;
        status = store_read(weights, name, stored_type(dtype), row, n, buffer, err);
        if (status == STATUS_OK)
            status = write_in_order(shard, tensor, order, buffer, row, n, err);
    }
    free(buffer);
    return status;
}

// This rank's rows of a tensor whose values are the checkpoint's, but whose rows follow another linear's
// columns.
static enum status write_moved(struct shard *shard, const struct layer_tensor *tensor,
                               const struct tensor_order *order, struct error *err)
{
    const struct team *team = shard->stage->team;
    const size_t row_bytes = tensor->in * dtype_size(tensor->tensor->dtype);
    const size_t most = row_bytes < piece_bytes ? piece_bytes / row_bytes : 1;
    size_t first, count;
    uint64_t bytes;
    void *rows = NULL;
    enum status status;

    share_of(tensor->out, (size_t)team->rank, (size_t)team->size, &first, &count);
    status = allocate(&rows, most < count ? most : count, row_bytes, "rows of a weight", err);
    for (size_t row = first; row < first + count && status == STATUS_OK; row += most) {
        const size_t n = first + count - row < most ? first + count - row : most;
        const char *span = tensor_rows_span(&bytes, tensor, row, n);
        tensor_rows_read(rows, tensor, row, n);
        status = write_in_order(shard, tensor, order, rows, row, n, err);
        safetensors_release(shard->source, span, bytes);
    }
    free(rows);
    return status;
}

static bool is_in_shard(const struct shard *shard, const struct layer_tensor *tensor)
{
    return tensor != NULL && tensor->tensor != NULL && tensor->tensor >= shard->source->tensors &&
           tensor->tensor < shard->source->tensors + shard->source->count;
}

// Whether the variant changes anything of the layer in this shard.
static bool changes_layer(const struct shard *shard, const struct layer_map *map)
{
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        if (tensor_may_move(shard->variant, tensor) && is_in_shard(shard, tensor))
            return true;
        if (tensor_is_pruned(shard->stage->settings, map->layer, tensor) &&
            (is_in_shard(shard, tensor) || is_in_shard(shard, layer_map_bias(tensor))))
            return true;
    }
    for (size_t i = 0; i < shard->biases.count; i++)
        if (shard->biases.items[i].layer == map->layer)
            return true;
    return false;
}

// What a layer is written from.
struct layer_files {
    struct store_reader *weights, *masks;
    struct layer_map map;
    struct layer_orders orders;
};

// Writes what this shard holds of one pruned linear, and marks it in `written`.
static enum status write_pruned_linear(struct shard *shard, const struct layer_tensor *tensor,
                                       const struct layer_files *files, bool *written, struct error *err)
{
    const struct store_reader *weights = files->weights;
    const struct layer_tensor *bias = layer_map_bias(tensor);
    bool has_bias = false;
    char name[DATASET_PATH_SIZE];

    if (is_in_shard(shard, tensor) && !written[tensor->tensor - shard->source->tensors]) {
        dataset_path(name, tensor->linear, DATASET_WEIGHT);
        FORWARD_IF_ERROR(write_rows(shard, tensor, order_of_tensor(&files->orders, &files->map, tensor), name,
                                    weights, err));
        written[tensor->tensor - shard->source->tensors] = true;
    }
    dataset_path(name, tensor->linear, DATASET_BIAS);
    if (is_in_shard(shard, bias) && !written[bias->tensor - shard->source->tensors])
        FORWARD_IF_ERROR(store_find(weights, name, &has_bias, err));
    if (has_bias) {
        FORWARD_IF_ERROR(
            write_rows(shard, bias, order_of_tensor(&files->orders, &files->map, bias), name, weights, err));
        written[bias->tensor - shard->source->tensors] = true;
    }
    return STATUS_OK;
}

// Writes the codes of one tensor, this rank's matrices of them.
static enum status write_codes(struct shard *shard, const struct safetensors_tensor *tensor,
                               const struct layer_files *files, struct error *err)
{
    const struct team *team = shard->stage->team;
    const size_t size = code_matrix_bytes(tensor);
    void *bytes = NULL;
    enum status status = allocate(&bytes, size, 1, "the codes of a weight", err);

    for (size_t i = (size_t)team->rank; i < code_matrices(tensor) && status == STATUS_OK;
         i += (size_t)team->size) {
        status = code_matrix_fill(bytes, tensor, i, shard->stage, &files->map, files->masks, err);
        if (status == STATUS_OK)
            status = commit_write_at(&shard->file, bytes, size,
                                     shard->header_bytes + tensor->begin + i * size, err);
    }
    free(bytes);
    return status;
}

// Writes the slices of one tensor that are this rank's.
static enum status write_slices(struct shard *shard, const struct safetensors_tensor *tensor,
                                const struct layer_files *files, struct error *err)
{
    const struct team *team = shard->stage->team;
    const struct part_source source = {shard->stage, &files->map, &files->orders, files->weights};
    const uint64_t begin = shard->header_bytes + tensor->begin;
    if (shard_keeps_codes(shard, tensor))
        return write_codes(shard, tensor, files, err);
    struct part_slice slice = part_slice_at(tensor, 0);
    void *bytes = NULL;
    enum status status = allocate(&bytes, part_slice_bytes(&slice), 1, "a part of a weight", err);

    for (size_t i = (size_t)team->rank; i < part_slices(tensor) && status == STATUS_OK;
         i += (size_t)team->size) {
        slice = part_slice_at(tensor, i);
        status = part_slice_fill(bytes, &slice, &source, err);
        if (status == STATUS_OK)
            status = commit_write_at(&shard->file, bytes, part_slice_bytes(&slice),
                                     begin + part_slice_offset(&slice), err);
        part_slice_release(&slice, shard->source);
    }
    free(bytes);
    return status;
}

// Writes the tensors of the layer that hold several linears, or one transposed, or codes, and marks them.
static enum status write_parts(struct shard *shard, const struct layer_files *files, bool *written,
                               struct error *err)
{
    for (size_t i = 0; i < files->map.num_tensors; i++) {
        const struct layer_tensor *part = &files->map.tensors[i];
        if (!is_in_shard(shard, part) || !(part->is_part || shard_keeps_codes(shard, part->tensor)) ||
            written[part->tensor - shard->source->tensors])
            continue;
        FORWARD_IF_ERROR(write_slices(shard, part->tensor, files, err));
        written[part->tensor - shard->source->tensors] = true;
    }
    return STATUS_OK;
}

// Writes the tensors of the layer that only move, and marks them.
static enum status write_moved_tensors(struct shard *shard, const struct layer_files *files, bool *written,
                                       struct error *err)
{
    for (size_t i = 0; i < files->map.num_tensors; i++) {
        const struct layer_tensor *tensor = &files->map.tensors[i];
        if (!is_in_shard(shard, tensor) ||
            !tensor_moves(order_of_tensor(&files->orders, &files->map, tensor)) ||
            written[tensor->tensor - shard->source->tensors])
            continue;
        FORWARD_IF_ERROR(
            write_moved(shard, tensor, order_of_tensor(&files->orders, &files->map, tensor), err));
        written[tensor->tensor - shard->source->tensors] = true;
    }
    return STATUS_OK;
}

// A bias that the checkpoint did not have. One of a linear that is not pruned is zero. Rank 0.
static enum status write_added_bias(struct shard *shard, const struct added_bias *bias,
                                    const struct layer_files *files, struct error *err)
{
    const struct store_reader *weights = files->weights;
    const size_t element = dtype_size(bias->dtype);
    void *values = NULL, *moved = NULL;
    bool is_set = false;
    char name[DATASET_PATH_SIZE];
    enum status status = allocate(&values, bias->out, element, "a bias", err);

    dataset_path(name, bias->linear, DATASET_BIAS);
    if (status == STATUS_OK)
        status = allocate(&moved, bias->out, element, "a bias", err);
    if (status == STATUS_OK)
        status = store_find(weights, name, &is_set, err);
    if (status == STATUS_OK && is_set)
        status = store_read(weights, name, stored_type(bias->dtype), 0, bias->out, values, err);
    if (status == STATUS_OK) {
        exported_vector(order_of_bias(&files->orders, &files->map, bias->linear), moved, values, bias->out,
                        element);
        status =
            commit_write_at(&shard->file, moved, bias->out * element, shard->header_bytes + bias->begin, err);
    }
    free(values);
    free(moved);
    return status;
}

// Everything that the variant changes of one layer in this shard, on this rank.
static enum status write_changes(struct shard *shard, const struct layer_files *files, bool *written,
                                 struct error *err)
{
    const struct stage *stage = shard->stage;
    const struct layer_map *map = &files->map;

    FORWARD_IF_ERROR(write_parts(shard, files, written, err));
    for (size_t i = 0; i < map->num_tensors; i++)
        if (tensor_is_pruned(stage->settings, map->layer, &map->tensors[i]))
            FORWARD_IF_ERROR(write_pruned_linear(shard, &map->tensors[i], files, written, err));
    FORWARD_IF_ERROR(write_moved_tensors(shard, files, written, err));
    for (size_t i = 0; i < shard->biases.count && stage->team->rank == 0; i++)
        if (shard->biases.items[i].layer == map->layer)
            FORWARD_IF_ERROR(write_added_bias(shard, &shard->biases.items[i], files, err));
    return STATUS_OK;
}

// Collective; *orders: of files->map, from the variant's masks.
static enum status read_orders(const struct shard *shard, struct layer_files *files, struct error *err)
{
    const struct stage *stage = shard->stage;
    char path[PATH_SIZE];

    if (shard->variant->permute || stage->model->checkpoint->keeps_codes) {
        run_layer_path(path, stage->settings->run, RUN_MASKS, shard->variant->name, files->map.layer);
        FORWARD_IF_ERROR(store_open(&files->masks, path, stage->team->comm, err));
    }
    const enum status status =
        layer_orders_read(&files->orders, stage, shard->variant, &files->map, files->masks, err);
    return team_agree(stage->team, status, err);
}

// Writes what the variant changes of one layer in this shard. Collective.
static enum status write_layer(struct shard *shard, size_t layer, bool *written, struct error *err)
{
    const struct team *team = shard->stage->team;
    struct layer_files files = {.weights = NULL};
    char path[PATH_SIZE];
    enum status status;

    FORWARD_IF_ERROR(team_agree(team, layer_map_create(&files.map, shard->stage->model, layer, err), err));
    if (!changes_layer(shard, &files.map)) {
        layer_map_free(&files.map);
        return STATUS_OK;
    }
    run_layer_path(path, shard->stage->settings->run, RUN_WEIGHTS, shard->variant->name, layer);
    GOTO_IF_ERROR(store_open(&files.weights, path, team->comm, err), done);
    GOTO_IF_ERROR(read_orders(shard, &files, err), done);
    status = team_agree(team, write_changes(shard, &files, written, err), err);
done:
    layer_orders_free(&files.orders);
    store_close(files.masks);
    store_close(files.weights);
    layer_map_free(&files.map);
    return status;
}

// Writes the header. Names, order, dtypes, shapes and offsets do not change; new tensors come last.
static enum status write_header(struct shard *shard, struct error *err)
{
    if (shard->biases.count > 0)
        return commit_write_at(&shard->file, shard->biases.header, shard->header_bytes, 0, err);
    return shard_copy_bytes(shard, shard->source->exported.header, shard->header_bytes, 0, err);
}

enum status export_shard(const struct stage *stage, const struct variant *variant, size_t index,
                         const char *path, struct error *err)
{
    const struct team *team = stage->team;
    struct shard shard = {
        .stage = stage, .variant = variant, .source = stage->model->checkpoint->shards[index]};
    const struct safetensors_file *source = shard.source;
    bool *written = NULL;
    enum status status = allocate(&written, source->count, sizeof *written, "shard", err);

    if (status == STATUS_OK)
        status = added_biases_create(&shard.biases, stage, variant, index, err);
    shard.header_bytes = shard.biases.count > 0 ? shard.biases.header_bytes : source->exported.header_bytes;
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    GOTO_IF_ERROR(shard_begin(&shard, path, err), end);
    for (size_t layer = 0; layer < stage->model->config.num_hidden_layers; layer++) {
        GOTO_IF_ERROR(stage_safe_point(stage, STATUS_OK, 0, err), end);
        GOTO_IF_ERROR(write_layer(&shard, layer, written, err), end);
    }
    if (team->rank == 0)
        status = write_header(&shard, err);
    for (size_t i = 0; i < source->count && status == STATUS_OK; i++)
        if (!written[i] && i % (size_t)team->size == (size_t)team->rank)
            status = shard_copy_tensor(&shard, &source->tensors[i], err);
    for (size_t i = 0; i < source->stored_count && status == STATUS_OK; i++)
        if (stage->model->checkpoint->keeps_codes && source->is_left_out[i] &&
            i % (size_t)team->size == (size_t)team->rank)
            status = shard_copy_tensor(&shard, &source->stored[i], err);
end:
    status = shard_end(&shard, status, err);
done:
    added_biases_free(&shard.biases);
    free(written);
    return status;
}
