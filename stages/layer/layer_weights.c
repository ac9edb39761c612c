#include "stages/layer/layer_weights.h"

#include "io/model/tensor_rows.h"
#include "stages/layer/layer_overlay.h"
#include "stages/layer/layer_shares.h"
#include "stages/layer/weight_check.h"

#include <stdint.h>
#include <stdio.h>
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

enum { CACHED = 1 << 15 }; // floats

// Expands this rank's rows of one tensor from the memory-mapped checkpoint.
static enum status expand_rows(const struct layer_shares *shares, const struct stage *stage,
                               const struct layer_tensor *tensor, struct error *err)
{
    const struct node_rows rows = rows_to_read(shares, stage->team, tensor);
    const struct safetensors_tensor *source = tensor->tensor;
    const size_t n = rows.count * rows.width;
    size_t shard = 0;

    if (source == NULL) { // a bias that was added
        memset(rows.values, 0, n * sizeof *rows.values);
        return STATUS_OK;
    }
    if (n == 0)
        return STATUS_OK;
    uint64_t bytes;
    const char *span = tensor_rows_span(&bytes, tensor, rows.first, rows.count);
    // As many rows at a time as stay in a cache until they are looked at.
    const size_t step = tensor->is_part || rows.width > CACHED ? rows.count : CACHED / rows.width;
    enum status status = STATUS_OK;

    if (checkpoint_find(stage->model->checkpoint, source->name, &shard) != NULL)
        safetensors_expect(stage->model->checkpoint->shards[shard], span, bytes);
    for (size_t done = 0; done < rows.count && status == STATUS_OK; done += step) {
        const struct node_rows some = {.first = rows.first + done,
                                       .count = rows.count - done < step ? rows.count - done : step,
                                       .width = rows.width,
                                       .values = rows.values + done * rows.width};
        tensor_rows_f32(some.values, tensor, some.first, some.count);
        status = check_finite(stage->model, tensor, &some, err);
    }
    if (checkpoint_find(stage->model->checkpoint, source->name, &shard) != NULL)
        safetensors_release(stage->model->checkpoint->shards[shard], span, bytes);
    return status;
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
        if (variant == NULL || is_mask || !tensor_is_pruned(stage->settings, layer, &weights->map.tensors[i]))
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
