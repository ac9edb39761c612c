#include "stages/layer/layer_weights.h"

#include "io/model/tensor_rows.h"
#include "kernels/threads.h"
#include "stages/layer/layer_overlay.h"
#include "stages/layer/layer_shares.h"
#include "stages/layer/read_ahead.h"
#include "stages/layer/weight_check.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum status layer_weights_size(size_t *floats, const struct model *model, struct error *err)
{
    *floats = 0;
    for (size_t layer = 0; layer < model->config.num_hidden_layers; layer++) {
        struct layer_map map;
        FORWARD_IF_ERROR(layer_map_create(&map, model, layer, err));
        if (map.block_size > *floats)
            *floats = map.block_size;
        layer_map_free(&map);
    }
    return STATUS_OK;
}

enum status layer_weights_create(struct layer_weights *weights, const struct stage *stage, struct error *err)
{
    size_t floats = 0;
    memset(weights, 0, sizeof *weights);
    weights->loaded = SIZE_MAX;
    FORWARD_IF_ERROR(team_agree(stage->team, layer_weights_size(&floats, stage->model, err), err));
    FORWARD_IF_ERROR(nodes_create(&weights->nodes, stage->team, err));
    return shared_block_allocate(&weights->memory, stage->team, (uint64_t)floats * sizeof(float),
                                 "the float32 weights of one layer", err);
}

void layer_weights_free(struct layer_weights *weights)
{
    read_ahead_end(weights->ahead);
    layer_map_free(&weights->map);
    nodes_free(&weights->nodes);
    shared_block_free(&weights->memory);
    memset(weights, 0, sizeof *weights);
    weights->loaded = SIZE_MAX;
}

const float *layer_weights_of(const struct layer_weights *weights, const struct layer_tensor *tensor)
{
    return (const float *)weights->memory.data + tensor->offset;
}

// Where this rank's rows of a tensor lie in the checkpoint; none of what lies in no shard.
static bool find_span(struct read_ahead_span *span, const struct layer_shares *shares,
                      const struct stage *stage, const struct layer_tensor *tensor)
{
    const struct node_rows rows = rows_to_read(shares, stage->team, tensor);
    const struct checkpoint *checkpoint = stage->model->checkpoint;
    size_t shard;

    if (tensor->tensor == NULL || rows.count == 0 ||
        checkpoint_find(checkpoint, tensor->tensor->name, &shard) == NULL)
        return false;
    span->file = checkpoint->shards[shard];
    span->data = tensor_rows_span(&span->bytes, tensor, rows.first, rows.count);
    return true;
}

// Floats that stay in a cache, and rows of a transposed matrix that are read together.
enum { CACHED = 1 << 15, TOGETHER = 64 };

// Rows of a tensor while threads expand them, `step` at a time: as many as stay in a cache until they are
// looked at.
struct expansion {
    const struct layer_tensor *tensor;
    const struct node_rows *rows;
    size_t step;
    atomic_bool *is_bad; // some value is NaN or infinite
};

static void expand_steps(const void *context, size_t first, size_t count, size_t thread)
{
    const struct expansion *e = context;
    const struct node_rows *rows = e->rows;

    (void)thread;
    for (size_t i = first; i < first + count; i++) {
        const size_t done = i * e->step, n = rows->count - done < e->step ? rows->count - done : e->step;
        float *values = rows->values + done * rows->width;
        tensor_rows_f32(values, e->tensor, rows->first + done, n);
        if (find_non_finite(values, n * rows->width) < n * rows->width)
            atomic_store(e->is_bad, true);
    }
}

// Expands this rank's rows of one tensor from the memory-mapped checkpoint.
static enum status expand_rows(const struct layer_shares *shares, const struct stage *stage,
                               const struct layer_tensor *tensor, struct error *err)
{
    const struct node_rows rows = rows_to_read(shares, stage->team, tensor);
    const size_t n = rows.count * rows.width;
    struct read_ahead_span span;
    atomic_bool is_bad = false;

    if (tensor->tensor == NULL) { // a bias that was added
        memset(rows.values, 0, n * sizeof *rows.values);
        return STATUS_OK;
    }
    if (n == 0)
        return STATUS_OK;
    const size_t cached = rows.width < CACHED ? CACHED / rows.width : 1;
    const size_t step = tensor->is_part && cached < TOGETHER ? TOGETHER : cached;
    const bool is_mapped = find_span(&span, shares, stage, tensor);

    if (is_mapped)
        safetensors_expect(span.file, span.data, span.bytes);
    threads_share((rows.count + step - 1) / step, 1, expand_steps,
                  &(struct expansion){tensor, &rows, step, &is_bad});
    const enum status status = is_bad ? check_finite(stage->model, tensor, &rows, err) : STATUS_OK;
    if (is_mapped)
        safetensors_release(span.file, span.data, span.bytes);
    return status;
}

// Whether a tensor of the layer is read from the checkpoint, not from what the variant lays over it.
static bool is_of_checkpoint(const struct settings *settings, const struct variant *variant,
                             const struct layer_map *map, const struct layer_tensor *tensor)
{
    return variant == NULL || !weights_are_written(settings, variant) ||
           !tensor_is_pruned(settings, map->layer, tensor);
}

void layer_weights_expect(struct layer_weights *weights, const struct stage *stage, size_t layer,
                          const struct variant *variant)
{
    struct layer_map map = {0};
    struct layer_shares shares = {.nodes = &weights->nodes, .memory = &weights->memory, .map = &map};
    struct read_ahead_span *spans = NULL;
    size_t count = 0;

    read_ahead_end(weights->ahead);
    weights->ahead = NULL;
    if (layer >= stage->model->config.num_hidden_layers ||
        layer_map_create(&map, stage->model, layer, NULL) != STATUS_OK)
        return;
    if (allocate(&spans, map.num_tensors, sizeof *spans, "spans", NULL) == STATUS_OK) {
        layer_shares_begin(&shares, stage->team);
        for (size_t i = 0; i < map.num_tensors; i++)
            if (is_of_checkpoint(stage->settings, variant, &map, &map.tensors[i]))
                count += find_span(&spans[count], &shares, stage, &map.tensors[i]);
        weights->ahead = read_ahead_begin(spans, count);
    }
    layer_map_free(&map);
}

enum status layer_weights_load(struct layer_weights *weights, const struct stage *stage, size_t layer,
                               const struct variant *variant, struct error *err)
{
    char path[sizeof weights->source] = "";
    struct layer_shares *shares = &weights->shares;
    const bool is_mask = variant != NULL && !weights_are_written(stage->settings, variant);
    enum status status = STATUS_OK;

    if (variant != NULL)
        overlay_path(path, stage->settings, variant, layer);
    if (weights->loaded == layer && strcmp(weights->source, path) == 0)
        return STATUS_OK;

    // The other ranks of the node may still compute with the loaded layer: wait before it is overwritten.
    shared_block_sync(&weights->memory, stage->team);
    weights->loaded = SIZE_MAX;
    layer_map_free(&weights->map);
    memset(&weights->map, 0, sizeof weights->map);
    *shares =
        (struct layer_shares){.nodes = &weights->nodes, .memory = &weights->memory, .map = &weights->map};
    status = layer_map_create(&weights->map, stage->model, layer, err);
    if (status == STATUS_OK)
        layer_shares_begin(shares, stage->team);
    for (size_t i = 0; i < weights->map.num_tensors && status == STATUS_OK; i++)
        if (is_of_checkpoint(stage->settings, variant, &weights->map, &weights->map.tensors[i]))
            status = expand_rows(shares, stage, &weights->map.tensors[i], err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    if (variant != NULL)
        FORWARD_IF_ERROR(overlay_layer(shares, stage, path, is_mask, err));
    FORWARD_IF_ERROR(layer_exchange(shares, stage, err));

    layer_map_bind(&weights->layer, &weights->map, stage->model, weights->memory.data);
    weights->loaded = layer;
    snprintf(weights->source, sizeof weights->source, "%s", path);
    return STATUS_OK;
}
