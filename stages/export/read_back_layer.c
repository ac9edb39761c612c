#include "stages/export/read_back_layer.h"

#include "io/file/run_paths.h"
#include "io/model/tensor_rows.h"
#include "io/store/store.h"
#include "kernels/pruning/masks/select.h"
#include "stages/export/code_matrices.h"
#include "stages/export/layer_orders.h"
#include "stages/export/part_slices.h"
#include "stages/layer/layer_overlay.h"

#include <stdlib.h>
#include <string.h>

static const size_t piece_bytes = (size_t)4 << 20; // compared at a time

// The files of one layer of the variant.
struct layer_files {
    struct store_reader *weights, *masks;
    struct layer_map map;
    struct layer_orders orders;
};

static bool is_zero(const uint8_t *value, size_t element)
{
    uint8_t bits = value[element - 1] & 0x7f; // little-endian: the sign is the last byte's top bit
    for (size_t k = 0; k + 1 < element; k++)
        bits |= value[k];
    return bits == 0;
}

// found, a row of a weight in the exported order, must be zero where mask[mask_row_bytes(in)] prunes; and of
// a permuted pattern no more than N of M neighbours may be there.
static enum status check_zeros(struct read_back *back, const struct layer_tensor *tensor,
                               const uint32_t *columns, const uint8_t *found, const uint8_t *mask,
                               struct error *err)
{
    const struct variant *variant = back->variant;
    const size_t element = dtype_size(tensor->tensor->dtype);
    size_t kept = 0; // among these neighbours

    for (size_t k = 0; k < tensor->in; k++) {
        const size_t column = columns != NULL ? columns[k] : k;
        const bool zero = is_zero(found + k * element, element);
        if (!(mask[column / 8] >> (column % 8) & 1) && !zero)
            return read_back_difference(back, tensor->tensor->name,
                                        "a weight that the mask prunes is not zero", err);
        if (!variant->permute)
            continue;
        kept = (k % variant->of == 0 ? 0 : kept) + !zero;
        if (kept > variant->keep)
            return read_back_difference(back, tensor->tensor->name, "its pattern is not in neighbours", err);
    }
    return STATUS_OK;
}

// What is to be found of a tensor.
struct expected_rows {
    const struct layer_tensor *tensor;
    const struct tensor_order *order;
    const uint8_t *rows; // those from `row` on, in the model's order
    const uint8_t *mask; // likewise; NULL: a bias, or not pruned
    size_t row;
};

// The rows that are expected are where the order has them. Those that do not move are read at once.
static enum status compare_in_order(struct read_back *back, const struct expected_rows *expected, size_t n,
                                    const char *what, struct error *err)
{
    const struct layer_tensor *tensor = expected->tensor;
    const size_t in = tensor->in, element = dtype_size(tensor->tensor->dtype), row_bytes = in * element;
    const uint64_t begin = back->header_bytes + tensor->tensor->begin;
    const bool moves = tensor_moves(expected->order);
    void *room = NULL;
    enum status status = allocate(&room, in, element, "a row of a weight", err);

    if (status == STATUS_OK && !moves)
        status = read_back_piece(back, tensor->tensor->name, n * row_bytes, begin + expected->row * row_bytes,
                                 err);
    for (size_t i = 0; i < n && status == STATUS_OK; i++) {
        const void *row = exported_row(expected->order, room, expected->rows + i * row_bytes, in, element);
        if (moves)
            status =
                read_back_piece(back, tensor->tensor->name, row_bytes,
                                begin + exported_place(expected->order, expected->row + i) * row_bytes, err);
        if (status != STATUS_OK)
            break;
        const uint8_t *found = back->found + (moves ? 0 : i * row_bytes);
        if (memcmp(found, row, row_bytes) != 0)
            status = read_back_difference(back, tensor->tensor->name, what, err);
        else if (expected->mask != NULL)
            status = check_zeros(back, tensor, expected->order->columns, found,
                                 expected->mask + i * mask_row_bytes(in), err);
    }
    free(room);
    return status;
}

// This rank's rows of a tensor that dataset `name` of the weights has. mask_name NULL: a bias.
static enum status compare_rows(struct read_back *back, const struct layer_tensor *tensor,
                                const struct layer_files *files, const char *name, const char *mask_name,
                                struct error *err)
{
    const struct store_reader *masks = mask_name != NULL ? files->masks : NULL;
    const struct team *team = back->stage->team;
    const enum dtype dtype = tensor->tensor->dtype;
    const size_t row_bytes = tensor->in * dtype_size(dtype);
    const size_t most = row_bytes < piece_bytes ? piece_bytes / row_bytes : 1;
    void *stored = NULL;
    uint8_t *mask = NULL;
    size_t first, count;
    enum status status;

    share_of(tensor->out, (size_t)team->rank, (size_t)team->size, &first, &count);
    status = allocate(&stored, most < count ? most : count, row_bytes, "rows of a pruned weight", err);
    if (status == STATUS_OK && masks != NULL)
        status =
            allocate(&mask, most < count ? most : count, mask_row_bytes(tensor->in), "rows of a mask", err);
    for (size_t row = first; row < first + count && status == STATUS_OK; row += most) {
        const size_t n = first + count - row < most ? first + count - row : most;
        const struct expected_rows expected = {tensor, order_of_tensor(&files->orders, &files->map, tensor),
                                               stored, mask, row};
        status = store_read(files->weights, name, stored_type(dtype), row, n, stored, err);
        if (status == STATUS_OK && masks != NULL)
            status = store_read(masks, mask_name, STORE_U8, row, n, mask, err);
        if (status == STATUS_OK)
            status = compare_in_order(back, &expected, n, "the bytes read back are not the pruned ones", err);
    }
    free(stored);
    free(mask);
    return status;
}

// The zeros of a linear in the slice that was read back, found as it lies in the file.
static enum status check_part_zeros(struct read_back *back, const struct part_slice *slice,
                                    const struct layer_tensor *tensor, const struct layer_files *files,
                                    struct error *err)
{
    const struct tensor_order *order = order_of_tensor(&files->orders, &files->map, tensor);
    const size_t mask_bytes = mask_row_bytes(tensor->in);
    char name[DATASET_PATH_SIZE];
    uint8_t *row = NULL, *mask = NULL;
    enum status status =
        allocate(&row, tensor->in, dtype_size(tensor->tensor->dtype), "a row of a weight", err);

    dataset_path(name, tensor->linear, DATASET_MASK);
    if (status == STATUS_OK)
        status = allocate(&mask, tensor->out, mask_bytes, "a mask", err);
    if (status == STATUS_OK)
        status = store_read(files->masks, name, STORE_U8, 0, tensor->out, mask, err);
    for (size_t i = 0; i < tensor->out && status == STATUS_OK; i++) {
        tensor_rows_take(row, tensor, back->found, slice->first, exported_place(order, i), 1);
        status = check_zeros(back, tensor, order->columns, row, mask + i * mask_bytes, err);
    }
    free(row);
    free(mask);
    return status;
}

// This rank's matrices of a tensor's codes.
static enum status compare_codes(struct read_back *back, const struct safetensors_tensor *tensor,
                                 const struct layer_files *files, struct error *err)
{
    const struct team *team = back->stage->team;
    const size_t size = code_matrix_bytes(tensor);
    void *bytes = NULL;
    enum status status = allocate(&bytes, size, 1, "the codes of a weight", err);

    for (size_t i = (size_t)team->rank; i < code_matrices(tensor) && status == STATUS_OK;
         i += (size_t)team->size) {
        status = code_matrix_fill(bytes, tensor, i, back->stage, &files->map, files->masks, err);
        if (status == STATUS_OK)
            status = read_back_compare(back, tensor->name, bytes, size,
                                       back->header_bytes + tensor->begin + i * size, err);
    }
    free(bytes);
    return status;
}

// This rank's slices of one tensor that holds several linears, or one transposed.
static enum status compare_slices(struct read_back *back, const struct safetensors_tensor *tensor,
                                  const struct layer_files *files, struct error *err)
{
    const struct stage *stage = back->stage;
    const struct part_source source = {stage, &files->map, &files->orders, files->weights};
    struct part_slice slice = part_slice_at(tensor, 0);
    const uint64_t size = part_slice_bytes(&slice), begin = back->header_bytes + tensor->begin;
    void *expected = NULL;
    enum status status;

    if (read_back_keeps_codes(back, tensor))
        return compare_codes(back, tensor, files, err);
    status = allocate(&expected, size, 1, "a part of a weight", err);

    for (size_t s = (size_t)stage->team->rank; s < part_slices(tensor) && status == STATUS_OK;
         s += (size_t)stage->team->size) {
        slice = part_slice_at(tensor, s);
        status = part_slice_fill(expected, &slice, &source, err);
        if (status == STATUS_OK)
            status = read_back_piece(back, tensor->name, size, begin + part_slice_offset(&slice), err);
        if (status == STATUS_OK && memcmp(back->found, expected, size) != 0)
            status =
                read_back_difference(back, tensor->name, "the bytes read back are not the pruned ones", err);
        for (size_t i = 0; i < files->map.num_tensors && status == STATUS_OK; i++)
            if (tensor_is_pruned(stage->settings, files->map.layer, &files->map.tensors[i]) &&
                part_slice_has(&slice, &files->map.tensors[i]))
                status = check_part_zeros(back, &slice, &files->map.tensors[i], files, err);
        part_slice_release(&slice, back->source);
    }
    free(expected);
    return status;
}

static bool is_here(const struct read_back *back, const struct layer_tensor *tensor)
{
    return tensor != NULL && tensor->tensor != NULL && tensor->tensor >= back->source->tensors &&
           tensor->tensor < back->source->tensors + back->source->count;
}

static enum status compare_parts(struct read_back *back, const struct layer_files *files, struct error *err)
{
    for (size_t i = 0; i < files->map.num_tensors; i++) {
        const struct layer_tensor *part = &files->map.tensors[i];
        if (!is_here(back, part) || !(part->is_part || read_back_keeps_codes(back, part->tensor)) ||
            back->from_store[part->tensor - back->source->tensors])
            continue;
        back->from_store[part->tensor - back->source->tensors] = true;
        FORWARD_IF_ERROR(compare_slices(back, part->tensor, files, err));
    }
    return STATUS_OK;
}

static enum status compare_linear(struct read_back *back, const struct layer_tensor *weight,
                                  const struct layer_files *files, struct error *err)
{
    const struct layer_tensor *bias = layer_map_bias(weight);
    char name[DATASET_PATH_SIZE], mask[DATASET_PATH_SIZE];
    bool is_set = false;

    if (is_here(back, weight) && !back->from_store[weight->tensor - back->source->tensors]) {
        dataset_path(name, weight->linear, DATASET_WEIGHT);
        dataset_path(mask, weight->linear, DATASET_MASK);
        back->from_store[weight->tensor - back->source->tensors] = true;
        FORWARD_IF_ERROR(compare_rows(back, weight, files, name, mask, err));
    }
    if (!is_here(back, bias) || back->from_store[bias->tensor - back->source->tensors])
        return STATUS_OK;
    dataset_path(name, weight->linear, DATASET_BIAS);
    FORWARD_IF_ERROR(store_find(files->weights, name, &is_set, err));
    if (!is_set)
        return STATUS_OK;
    back->from_store[bias->tensor - back->source->tensors] = true;
    return compare_rows(back, bias, files, name, NULL, err);
}

// Rows [first, end) of such a tensor.
static enum status compare_moved_rows(struct read_back *back, const struct layer_tensor *tensor,
                                      const struct tensor_order *order, size_t first, size_t end,
                                      struct error *err)
{
    const size_t row_bytes = tensor->in * dtype_size(tensor->tensor->dtype);
    const size_t most = row_bytes < piece_bytes ? piece_bytes / row_bytes : 1;
    uint8_t *rows = NULL;
    enum status status =
        allocate(&rows, most < end - first ? most : end - first, row_bytes, "rows of a weight", err);

    for (size_t row = first; row < end && status == STATUS_OK; row += most) {
        const size_t n = end - row < most ? end - row : most;
        const struct expected_rows expected = {tensor, order, rows, NULL, row};
        tensor_rows_read(rows, tensor, row, n);
        status = compare_in_order(back, &expected, n, "the bytes read back are not those written", err);
    }
    free(rows);
    return status;
}

// The tensors of the layer whose values are the source's, but whose rows moved.
static enum status compare_moved(struct read_back *back, const struct layer_files *files, struct error *err)
{
    const struct team *team = back->stage->team;

    for (size_t i = 0; i < files->map.num_tensors; i++) {
        const struct layer_tensor *tensor = &files->map.tensors[i];
        const struct tensor_order *order = order_of_tensor(&files->orders, &files->map, tensor);
        size_t first, count;
        if (!is_here(back, tensor) || !tensor_moves(order) ||
            back->from_store[tensor->tensor - back->source->tensors])
            continue;
        back->from_store[tensor->tensor - back->source->tensors] = true;
        share_of(tensor->out, (size_t)team->rank, (size_t)team->size, &first, &count);
        FORWARD_IF_ERROR(compare_moved_rows(back, tensor, order, first, first + count, err));
    }
    return STATUS_OK;
}

// A bias that the checkpoint did not have; that of a linear which is not pruned is zero.
static enum status compare_added_bias(struct read_back *back, const struct added_bias *bias,
                                      const struct layer_files *files, struct error *err)
{
    const size_t element = dtype_size(bias->dtype);
    char name[DATASET_PATH_SIZE];
    void *values = NULL, *moved = NULL;
    bool is_set = false;
    enum status status = allocate(&values, bias->out, element, "a bias", err);

    dataset_path(name, bias->linear, DATASET_BIAS);
    if (status == STATUS_OK)
        status = allocate(&moved, bias->out, element, "a bias", err);
    if (status == STATUS_OK)
        status = store_find(files->weights, name, &is_set, err);
    if (status == STATUS_OK && is_set)
        status = store_read(files->weights, name, stored_type(bias->dtype), 0, bias->out, values, err);
    if (status == STATUS_OK) {
        exported_vector(order_of_bias(&files->orders, &files->map, bias->linear), moved, values, bias->out,
                        element);
        status = read_back_compare(back, bias->name, moved, bias->out * element,
                                   back->header_bytes + bias->begin, err);
    }
    free(values);
    free(moved);
    return status;
}

// Whether any tensor of the layer in this shard comes from the store.
static bool concerns_layer(const struct read_back *back, const struct layer_map *map)
{
    for (size_t i = 0; i < map->num_tensors; i++)
        if (tensor_is_pruned(back->stage->settings, map->layer, &map->tensors[i]) &&
            (is_here(back, &map->tensors[i]) || is_here(back, layer_map_bias(&map->tensors[i]))))
            return true;
    for (size_t i = 0; i < map->num_tensors; i++)
        if (tensor_may_move(back->variant, &map->tensors[i]) && is_here(back, &map->tensors[i]))
            return true;
    for (size_t i = 0; i < back->biases.count; i++)
        if (back->biases.items[i].layer == map->layer)
            return true;
    return false;
}

enum status read_back_layer(struct read_back *back, size_t layer, struct error *err)
{
    const struct settings *settings = back->stage->settings;
    const struct team *team = back->stage->team;
    struct layer_files files = {0};
    const struct layer_map *map = &files.map;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(team_agree(team, layer_map_create(&files.map, back->stage->model, layer, err), err));
    if (!concerns_layer(back, map))
        goto done;
    run_layer_path(path, settings->run, RUN_WEIGHTS, back->variant->name, layer);
    GOTO_IF_ERROR(store_open(&files.weights, path, team->comm, err), done);
    run_layer_path(path, settings->run, RUN_MASKS, back->variant->name, layer);
    GOTO_IF_ERROR(store_open(&files.masks, path, team->comm, err), done);
    status = layer_orders_read(&files.orders, back->stage, back->variant, map, files.masks, err);
    GOTO_IF_ERROR(team_agree(team, status, err), done);
    status = compare_parts(back, &files, err);
    for (size_t i = 0; i < map->num_tensors && status == STATUS_OK; i++)
        if (tensor_is_pruned(settings, layer, &map->tensors[i]))
            status = compare_linear(back, &map->tensors[i], &files, err);
    if (status == STATUS_OK)
        status = compare_moved(back, &files, err);
    for (size_t i = 0; i < back->biases.count && status == STATUS_OK && team->rank == 0; i++)
        if (back->biases.items[i].layer == layer)
            status = compare_added_bias(back, &back->biases.items[i], &files, err);
    status = team_agree(team, status, err);
done:
    store_close(files.masks);
    store_close(files.weights);
    layer_orders_free(&files.orders);
    layer_map_free(&files.map);
    return status;
}
