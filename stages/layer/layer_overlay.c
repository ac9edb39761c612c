#include "stages/layer/layer_overlay.h"

#include "kernels/pruning/masks/select.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <stdlib.h>

enum dtype bias_dtype(const struct layer_tensor *weight)
{
    const struct layer_tensor *bias = layer_map_bias(weight);
    return bias != NULL && bias->tensor != NULL ? bias->tensor->dtype : weight->tensor->dtype;
}

enum store_type stored_type(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? STORE_F32 : STORE_U16;
}

// buffer: room for the rows in dtype.
static enum status read_rows(const struct node_rows *rows, const struct store_reader *reader,
                             const char *name, enum dtype dtype, void *buffer, struct error *err)
{
    if (rows->count == 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(store_read(reader, name, stored_type(dtype), rows->first, rows->count, buffer, err));
    dtype_to_f32(rows->values, buffer, dtype, rows->count * rows->width);
    return STATUS_OK;
}

// Reads this rank's rows of one pruned linear from the variant's weights file, and of its bias where the
// variant has set that.
static enum status overlay_linear(const struct layer_shares *shares, const struct stage *stage,
                                  const struct layer_tensor *tensor, const struct store_reader *reader,
                                  void *buffer, struct error *err)
{
    const struct layer_tensor *bias = layer_map_bias(tensor);
    struct node_rows rows = rows_to_read(shares, stage->team, tensor);
    bool is_set;
    char name[DATASET_PATH_SIZE];

    dataset_path(name, tensor->linear, DATASET_WEIGHT);
    FORWARD_IF_ERROR(read_rows(&rows, reader, name, tensor->tensor->dtype, buffer, err));
    if (bias == NULL)
        return STATUS_OK;
    dataset_path(name, tensor->linear, DATASET_BIAS);
    FORWARD_IF_ERROR(store_find(reader, name, &is_set, err));
    if (!is_set)
        return STATUS_OK;
    rows = rows_to_read(shares, stage->team, bias);
    return read_rows(&rows, reader, name, bias_dtype(tensor), buffer, err);
}

struct masked {
    const struct node_rows *rows;
    const uint8_t *mask; // [count, mask_row_bytes(width)]
};

static void mask_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct masked *masked = context;
    const size_t width = masked->rows->width;

    (void)thread;
    for (size_t row = first; row < first + count; row++)
        mask_apply(masked->rows->values + row * width, masked->mask + row * mask_row_bytes(width), width);
}

// Makes this rank's rows of one pruned linear from its mask: the dense weights, which are expanded already,
// or the method's own (`update`), rounded to the model's dtype, and 0 where the mask is 0. These are the bits
// that compensate_layer writes when there is nothing to compensate.
static enum status mask_linear(const struct layer_shares *shares, const struct stage *stage,
                               const struct layer_tensor *tensor, const struct store_reader *reader,
                               void *buffer, struct error *err)
{
    const struct node_rows rows = rows_to_read(shares, stage->team, tensor);
    const enum dtype dtype = tensor->tensor->dtype;
    const size_t bytes = mask_row_bytes(rows.width), n = rows.count * rows.width;
    uint8_t *mask = NULL;
    bool is_updated;
    char name[DATASET_PATH_SIZE];
    enum status status;

    if (n == 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(allocate(&mask, rows.count, bytes, "masks", err));
    dataset_path(name, tensor->linear, DATASET_UPDATE);
    GOTO_IF_ERROR(store_find(reader, name, &is_updated, err), done);
    if (is_updated) {
        GOTO_IF_ERROR(store_read(reader, name, STORE_F32, rows.first, rows.count, rows.values, err), done);
        dtype_from_f32(buffer, rows.values, dtype, n);
        dtype_to_f32(rows.values, buffer, dtype, n);
    }
    dataset_path(name, tensor->linear, DATASET_MASK);
    GOTO_IF_ERROR(store_read(reader, name, STORE_U8, rows.first, rows.count, mask, err), done);
    threads_share(rows.count, threads_grain(rows.width), mask_rows, &(struct masked){&rows, mask});
done:
    free(mask);
    return status;
}

void overlay_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant,
                  size_t layer)
{
    run_layer_path(path, settings->run, weights_are_written(settings, variant) ? RUN_WEIGHTS : RUN_MASKS,
                   variant->name, layer);
}

enum status overlay_layer(const struct layer_shares *shares, const struct stage *stage, const char *path,
                          bool is_mask, struct error *err)
{
    struct store_reader *reader = NULL;
    void *buffer = NULL;
    size_t largest = 0;
    enum status status;

    for (size_t i = 0; i < shares->map->num_tensors; i++) {
        const struct layer_tensor *tensor = &shares->map->tensors[i];
        const struct node_rows rows = rows_to_read(shares, stage->team, tensor);
        if (tensor_is_pruned(stage->settings, shares->map->layer, tensor) &&
            rows.count * rows.width > largest)
            largest = rows.count * rows.width;
    }
    FORWARD_IF_ERROR(store_open(&reader, path, stage->team->comm, err));
    status = allocate_aligned(&buffer, largest, sizeof(float), "rows of a pruned weight", err);
    for (size_t i = 0; i < shares->map->num_tensors && status == STATUS_OK; i++)
        if (tensor_is_pruned(stage->settings, shares->map->layer, &shares->map->tensors[i]))
            status = (is_mask ? mask_linear : overlay_linear)(shares, stage, &shares->map->tensors[i], reader,
                                                              buffer, err);
    free(buffer);
    status = team_agree(stage->team, status, err);
    store_close(reader);
    return status;
}
