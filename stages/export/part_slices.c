#include "stages/export/part_slices.h"

#include "io/file/run_paths.h"
#include "io/model/tensor_rows.h"
#include "io/model/weights/coded.h"
#include "stages/layer/layer_overlay.h"

#include <stdlib.h>
#include <string.h>

static const size_t piece_bytes = (size_t)4 << 20; // rows that are put into a slice at a time

size_t part_slices(const struct safetensors_tensor *tensor)
{
    return tensor->rank > 2 ? (size_t)tensor->shape[0] : 1;
}

struct part_slice part_slice_at(const struct safetensors_tensor *tensor, size_t index)
{
    const uint64_t count = safetensors_elements(tensor) / part_slices(tensor);
    return (struct part_slice){tensor, index * count, count};
}

uint64_t part_slice_bytes(const struct part_slice *slice)
{
    return slice->count * dtype_size(slice->tensor->dtype);
}

uint64_t part_slice_offset(const struct part_slice *slice)
{
    return slice->first * dtype_size(slice->tensor->dtype);
}

bool part_slice_has(const struct part_slice *slice, const struct layer_tensor *tensor)
{
    return tensor->tensor == slice->tensor && tensor->view.start >= slice->first &&
           tensor->view.start < slice->first + slice->count;
}

// The dataset that the variant has of a weight or a bias; *is_set false: it does not change it.
static enum status find_dataset(char name[DATASET_PATH_SIZE], bool *is_set, const struct layer_tensor *tensor,
                                const struct part_source *source, struct error *err)
{
    const struct settings *settings = source->stage->settings;
    const bool is_bias = tensor > source->map->tensors && layer_map_bias(tensor - 1) == tensor;
    const struct layer_tensor *weight = is_bias ? tensor - 1 : tensor;

    *is_set = weight->linear[0] != '\0' && tensor_is_pruned(settings, source->map->layer, weight);
    if (!*is_set)
        return STATUS_OK;
    dataset_path(name, weight->linear, is_bias ? DATASET_BIAS : DATASET_WEIGHT);
    return is_bias ? store_find(source->weights, name, is_set, err) : STATUS_OK;
}

struct range {
    size_t first, count;
};

// Rows of the matrix, to the places where the order has them.
static void put_in_order(void *bytes, const struct part_slice *slice, const struct layer_tensor *tensor,
                         const struct tensor_order *order, const char *rows, struct range range, void *room)
{
    const size_t element = dtype_size(slice->tensor->dtype);

    if (!tensor_moves(order)) {
        tensor_rows_put(bytes, slice->first, tensor, rows, range.first, range.count);
        return;
    }
    for (size_t i = 0; i < range.count; i++)
        tensor_rows_put(bytes, slice->first, tensor,
                        exported_row(order, room, rows + i * tensor->in * element, tensor->in, element),
                        exported_place(order, range.first + i), 1);
}

// Puts what the variant has of one linear, or of its bias, over the source's bytes.
static enum status fill_linear(void *bytes, const struct part_slice *slice, const struct layer_tensor *tensor,
                               const struct part_source *source, struct error *err)
{
    const struct tensor_order *order = order_of_tensor(source->orders, source->map, tensor);
    const enum dtype dtype = tensor->tensor->dtype;
    const size_t row_bytes = tensor->in * dtype_size(dtype);
    const size_t most = row_bytes < piece_bytes ? piece_bytes / row_bytes : 1;
    char name[DATASET_PATH_SIZE];
    void *rows = NULL, *room = NULL;
    bool is_set;
    enum status status;

    FORWARD_IF_ERROR(find_dataset(name, &is_set, tensor, source, err));
    if (!is_set && !tensor_moves(order))
        return STATUS_OK;
    status =
        allocate(&rows, most < tensor->out ? most : tensor->out, row_bytes, "rows of a pruned weight", err);
    if (status == STATUS_OK)
        status = allocate(&room, 1, row_bytes, "a row of a weight", err);
    for (size_t row = 0; row < tensor->out && status == STATUS_OK; row += most) {
        const struct range range = {row, tensor->out - row < most ? tensor->out - row : most};
        if (is_set)
            status = store_read(source->weights, name, stored_type(dtype), row, range.count, rows, err);
        else
            tensor_rows_read(rows, tensor, row, range.count);
        if (status == STATUS_OK)
            put_in_order(bytes, slice, tensor, order, rows, range, room);
    }
    free(rows);
    free(room);
    return status;
}

// Whether the variant has every element of the slice, so that the source's need not be decoded.
static enum status is_all_set(bool *is_whole, const struct part_slice *slice,
                              const struct part_source *source, struct error *err)
{
    uint64_t elements = 0;

    for (size_t i = 0; i < source->map->num_tensors; i++) {
        const struct layer_tensor *tensor = &source->map->tensors[i];
        char name[DATASET_PATH_SIZE];
        bool is_set = false;
        if (part_slice_has(slice, tensor))
            FORWARD_IF_ERROR(find_dataset(name, &is_set, tensor, source, err));
        elements += is_set ? tensor->out * tensor->in : 0;
    }
    *is_whole = elements == slice->count;
    return STATUS_OK;
}

enum status part_slice_fill(void *bytes, const struct part_slice *slice, const struct part_source *source,
                            struct error *err)
{
    bool is_whole;

    FORWARD_IF_ERROR(is_all_set(&is_whole, slice, source, err));
    if (!is_whole)
        tensor_elements(bytes, slice->tensor, slice->first, slice->count);
    for (size_t i = 0; i < source->map->num_tensors; i++)
        if (part_slice_has(slice, &source->map->tensors[i]))
            FORWARD_IF_ERROR(fill_linear(bytes, slice, &source->map->tensors[i], source, err));
    return STATUS_OK;
}

void part_slice_release(const struct part_slice *slice, const struct safetensors_file *file)
{
    const struct coding *coding = slice->tensor->coding;
    uint64_t begin, end;

    if (coding == NULL) {
        safetensors_release(file, (const char *)slice->tensor->data + part_slice_offset(slice),
                            part_slice_bytes(slice));
        return;
    }
    coded_span(&begin, &end, slice->tensor, slice->first, slice->first + slice->count - 1);
    safetensors_release(file, (const char *)coding->codes.data + begin, end - begin);
}

uint64_t part_slices_memory(const struct layer_map *map)
{
    uint64_t most = 0;

    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct safetensors_tensor *tensor = map->tensors[i].tensor;
        if (tensor == NULL || !(map->tensors[i].is_part || tensor->coding != NULL))
            continue;
        const struct part_slice slice = part_slice_at(tensor, 0);
        const uint64_t bytes = 2 * part_slice_bytes(&slice) + piece_bytes; // one as made, one as read back
        most = bytes > most ? bytes : most;
    }
    return most;
}
