#include "stages/layer/layer_weights.h"

#include "io/file/interrupt.h"
#include "io/file/run_paths.h"
#include "io/model/outer_tensors.h"
#include "io/model/tensor_rows.h"
#include "io/model/weights/coded.h"
#include "io/store/store.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <inttypes.h>
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

// The shard that holds a tensor, for messages.
static const char *tensor_file(const struct model *model, const struct safetensors_tensor *tensor)
{
    size_t shard = 0;
    return checkpoint_find(model->checkpoint, tensor->name, &shard) != NULL
               ? model->checkpoint->shards[shard]->path
               : "checkpoint";
}

// These rows of a tensor that is a matrix of its own.
static enum status check_finite(const struct model *model, const struct safetensors_tensor *tensor,
                                const struct node_rows *rows, struct error *err)
{
    const size_t n = rows->count * rows->width, bad = find_non_finite(rows->values, n);

    RETURN_ERROR_IF(bad < n, err, STATUS_INPUT, "%s: tensor %s: weight [%zu, %zu] is %s",
                    tensor_file(model, tensor), tensor->name, rows->first + bad / rows->width,
                    bad % rows->width, rows->values[bad] != rows->values[bad] ? "NaN" : "infinite");
    return STATUS_OK;
}

// An element of a tensor as it is stored, by its index in each dimension.
static enum status refuse_element(const struct model *model, const struct safetensors_tensor *tensor,
                                  uint64_t element, float value, struct error *err)
{
    char index[8 * SAFETENSORS_MAX_RANK * 3] = "";
    uint64_t size = safetensors_elements(tensor);
    size_t used = 0;

    for (size_t d = 0; d < tensor->rank; d++) {
        size /= tensor->shape[d];
        used += (size_t)snprintf(index + used, sizeof index - used, d == 0 ? "%" PRIu64 : ", %" PRIu64,
                                 element / size);
        element %= size;
    }
    RETURN_ERROR(err, STATUS_INPUT, "%s: tensor %s: weight [%s] is %s", tensor_file(model, tensor),
                 tensor->name, index, value != value ? "NaN" : "infinite");
}

// The same as check_finite of a matrix that is a part of its tensor, whose own index is named.
static enum status check_part_finite(const struct model *model, const struct layer_tensor *tensor,
                                     const struct node_rows *rows, struct error *err)
{
    const size_t n = rows->count * rows->width, bad = find_non_finite(rows->values, n);

    if (bad == n)
        return STATUS_OK;
    return refuse_element(model, tensor->tensor,
                          tensor_rows_element(tensor, rows->first + bad / rows->width, bad % rows->width),
                          rows->values[bad], err);
}

struct node_rows node_rows_of(float *block, const struct team *team, const struct layer_tensor *tensor)
{
    struct node_rows rows = {.width = tensor->in};
    share_of(tensor->out, (size_t)team->node_rank, (size_t)team->node_size, &rows.first, &rows.count);
    rows.values = block + tensor->offset + rows.first * rows.width;
    return rows;
}

// ---- which node reads what ------------------------------------------------------------------------------

// The first of a tensor's rows that begins at float `place` of the block or behind it; `out` if none does.
static size_t row_at(const struct layer_tensor *tensor, size_t place)
{
    const size_t row = place > tensor->offset ? (place - tensor->offset + tensor->in - 1) / tensor->in : 0;
    return row < tensor->out ? row : tensor->out;
}

// Node `node` reads what lies in the layer's block from here to where the next one begins: whole rows.
static size_t share_begin(const struct layer_weights *weights, size_t node)
{
    const struct layer_map *map = &weights->map;
    size_t place, count, begin = map->block_size;

    if (node == 0)
        return 0;
    share_of(map->block_size, node, weights->nodes.count, &place, &count);
    for (size_t i = 0; i < map->num_tensors; i++) {
        const struct layer_tensor *tensor = &map->tensors[i];
        const size_t row = tensor->offset + row_at(tensor, place) * tensor->in;
        if (row >= place && row < begin)
            begin = row;
    }
    return begin;
}

static size_t share_end(const struct layer_weights *weights, size_t node)
{
    return node + 1 == weights->nodes.count ? weights->map.block_size : share_begin(weights, node + 1);
}

// This rank's share of what its node reads of a tensor.
static struct node_rows rows_to_read(const struct layer_weights *weights, const struct team *team,
                                     const struct layer_tensor *tensor)
{
    const size_t first = row_at(tensor, weights->from);
    struct node_rows rows = {.width = tensor->in};

    share_of(row_at(tensor, weights->to) - first, (size_t)team->node_rank, (size_t)team->node_size,
             &rows.first, &rows.count);
    rows.first += first;
    rows.values = (float *)weights->memory.data + tensor->offset + rows.first * rows.width;
    return rows;
}

// Floats that are packed at a time.
enum { PACKED = 1 << 22 };

// What one node read: values[count], in the memory of this one.
struct node_share {
    size_t node;
    bool is_own;
    float *values;
    size_t count;
};

// Sends it to the other nodes as bf16, which it is. packed: room for PACKED.
static enum status send_packed(const struct layer_weights *weights, const struct node_share *share,
                               uint16_t *packed, struct error *err)
{
    const size_t count = share->count;

    for (size_t done = 0; done < count; done += PACKED) {
        const size_t n = count - done < PACKED ? count - done : PACKED;
        if (share->is_own)
            dtype_from_f32(packed, share->values + done, DTYPE_BF16, n);
        FORWARD_IF_ERROR(nodes_send_bytes(&weights->nodes, packed, n * sizeof *packed, share->node, err));
        if (!share->is_own)
            dtype_to_f32(share->values + done, packed, DTYPE_BF16, n);
    }
    return STATUS_OK;
}

bool layer_is_packed(size_t threads)
{
    // One rank of a node unpacks for all of them: with fewer threads that takes longer than it saves.
    enum { LEAST_THREADS = 4 };
    return threads >= LEAST_THREADS;
}

// By the first rank of each node. The node that sends says whether it packs.
static enum status send_share(const struct layer_weights *weights, const struct node_share *share,
                              uint16_t *packed, struct error *err)
{
    const uint64_t bytes = (uint64_t)share->count * sizeof *share->values;
    uint8_t packs = 0;

    if (share->is_own)
        packs = layer_is_packed(threads_count()) && floats_are_bf16(share->values, share->count);
    FORWARD_IF_ERROR(nodes_send_bytes(&weights->nodes, &packs, sizeof packs, share->node, err));
    if (packs != 0)
        return send_packed(weights, share, packed, err);
    return nodes_send_bytes(&weights->nodes, share->values, bytes, share->node, err);
}

// Collective. Every node gets what the others have read.
static enum status exchange(const struct layer_weights *weights, const struct stage *stage, struct error *err)
{
    const bool leads = stage->team->node_rank == 0;
    uint16_t *packed = NULL;

    shared_block_sync(&weights->memory, stage->team);
    if (weights->nodes.count == 1)
        return STATUS_OK;
    enum status status =
        allocate_aligned(&packed, leads ? PACKED : 0, sizeof *packed, "weights to be sent", err);
    GOTO_IF_ERROR(team_agree(stage->team, status, err), done);
    for (size_t node = 0; leads && node < weights->nodes.count && status == STATUS_OK; node++) {
        const size_t from = share_begin(weights, node);
        const struct node_share share = {node, node == (size_t)weights->nodes.of[stage->team->rank],
                                         (float *)weights->memory.data + from,
                                         share_end(weights, node) - from};
        status = send_share(weights, &share, packed, err);
    }
    status = team_agree(stage->team, status, err);
    shared_block_sync(&weights->memory, stage->team);
done:
    free(packed);
    return status;
}

// ---- reading --------------------------------------------------------------------------------------------

enum { CACHED = 1 << 15 }; // floats

// Expands this rank's rows of one tensor from the memory-mapped checkpoint.
static enum status expand_rows(const struct layer_weights *weights, const struct stage *stage,
                               const struct layer_tensor *tensor, struct error *err)
{
    const struct node_rows rows = rows_to_read(weights, stage->team, tensor);
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
        status = tensor->is_part ? check_part_finite(stage->model, tensor, &some, err)
                                 : check_finite(stage->model, source, &some, err);
    }
    if (checkpoint_find(stage->model->checkpoint, source->name, &shard) != NULL)
        safetensors_release(stage->model->checkpoint->shards[shard], span, bytes);
    return status;
}

enum { PIECE = 1 << 16 };

// This rank's share of a tensor as it is stored. piece[PIECE]: room for what codes stand for.
static enum status check_tensor(const struct stage *stage, const struct safetensors_tensor *tensor,
                                float *piece, struct error *err)
{
    const struct team *team = stage->team;
    const size_t element = dtype_size(tensor->dtype);
    size_t first, count, shard = 0;

    share_of(safetensors_elements(tensor), (size_t)team->rank, (size_t)team->size, &first, &count);
    for (size_t done = 0; done < count; done += PIECE) {
        const size_t n = count - done < PIECE ? count - done : PIECE;
        const char *stored =
            tensor->coding == NULL ? (const char *)tensor->data + (first + done) * element : NULL;
        FORWARD_IF_ERROR(interrupt_check(err));
        if (stored == NULL)
            coded_elements(piece, tensor, first + done, 1, n);
        const size_t bad =
            stored != NULL ? dtype_find_non_finite(stored, tensor->dtype, n) : find_non_finite(piece, n);
        if (bad == n)
            continue;
        if (stored != NULL)
            dtype_to_f32(piece + bad, stored + bad * element, tensor->dtype, 1);
        return refuse_element(stage->model, tensor, first + done + bad, piece[bad], err);
    }
    const struct safetensors_tensor *stored = tensor->coding != NULL ? &tensor->coding->codes : tensor;
    if (checkpoint_find(stage->model->checkpoint, tensor->name, &shard) != NULL)
        safetensors_release(stage->model->checkpoint->shards[shard], stored->data,
                            stored->end - stored->begin);
    return STATUS_OK;
}

// A tensor that several matrices are parts of is looked at once.
static bool is_seen(const struct layer_map *map, size_t tensor)
{
    for (size_t i = 0; i < tensor && map->tensors[tensor].is_part; i++)
        if (map->tensors[i].tensor == map->tensors[tensor].tensor)
            return true;
    return false;
}

static enum status check_layer(const struct stage *stage, size_t layer, float *piece, struct error *err)
{
    struct layer_map map;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(layer_map_create(&map, stage->model, layer, err));
    for (size_t i = 0; i < map.num_tensors && status == STATUS_OK; i++)
        if (map.tensors[i].tensor != NULL && !is_seen(&map, i))
            status = check_tensor(stage, map.tensors[i].tensor, piece, err);
    layer_map_free(&map);
    return status;
}

enum status check_weights(const struct stage *stage, bool layers, struct error *err)
{
    const struct safetensors_tensor *tensors[OUTER_TENSORS];
    const size_t count = outer_tensors(tensors, stage->model);
    float *piece = NULL;
    enum status status = allocate(&piece, PIECE, sizeof *piece, "a look at the weights", err);

    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = check_tensor(stage, tensors[i], piece, err);
    for (size_t i = 0; layers && i < stage->model->config.num_hidden_layers && status == STATUS_OK; i++)
        status = check_layer(stage, i, piece, err);
    free(piece);
    return team_agree(stage->team, status, err);
}

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
static enum status overlay_linear(const struct layer_weights *weights, const struct stage *stage,
                                  const struct layer_tensor *tensor, const struct store_reader *reader,
                                  void *buffer, struct error *err)
{
    const struct layer_tensor *bias = layer_map_bias(tensor);
    struct node_rows rows = rows_to_read(weights, stage->team, tensor);
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
    rows = rows_to_read(weights, stage->team, bias);
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
static enum status mask_linear(const struct layer_weights *weights, const struct stage *stage,
                               const struct layer_tensor *tensor, const struct store_reader *reader,
                               void *buffer, struct error *err)
{
    const struct node_rows rows = rows_to_read(weights, stage->team, tensor);
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

// The file that a variant's pruned weights of a layer come from.
static void overlay_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant,
                         size_t layer)
{
    run_layer_path(path, settings->run, weights_are_written(settings, variant) ? RUN_WEIGHTS : RUN_MASKS,
                   variant->name, layer);
}

static enum status overlay_layer(struct layer_weights *weights, const struct stage *stage, const char *path,
                                 bool is_mask, struct error *err)
{
    struct store_reader *reader = NULL;
    void *buffer = NULL;
    size_t largest = 0;
    enum status status;

    for (size_t i = 0; i < weights->map.num_tensors; i++) {
        const struct layer_tensor *tensor = &weights->map.tensors[i];
        const struct node_rows rows = rows_to_read(weights, stage->team, tensor);
        if (tensor_is_pruned(stage->settings, weights->map.layer, tensor) &&
            rows.count * rows.width > largest)
            largest = rows.count * rows.width;
    }
    FORWARD_IF_ERROR(store_open(&reader, path, stage->team->comm, err));
    status = allocate_aligned(&buffer, largest, sizeof(float), "rows of a pruned weight", err);
    for (size_t i = 0; i < weights->map.num_tensors && status == STATUS_OK; i++)
        if (tensor_is_pruned(stage->settings, weights->map.layer, &weights->map.tensors[i]))
            status = (is_mask ? mask_linear : overlay_linear)(weights, stage, &weights->map.tensors[i],
                                                              reader, buffer, err);
    free(buffer);
    status = team_agree(stage->team, status, err);
    store_close(reader);
    return status;
}

// What lies between two tensors is sent with them.
static void clear_padding(const struct layer_weights *weights)
{
    for (size_t i = 0; i < weights->map.num_tensors; i++) {
        const struct layer_tensor *tensor = &weights->map.tensors[i];
        const size_t size = tensor->out * tensor->in;
        float *end = (float *)weights->memory.data + tensor->offset + size;
        memset(end, 0, (cache_lines(size) - size) * sizeof *end);
    }
}

enum status layer_weights_load(struct layer_weights *weights, const struct stage *stage, size_t layer,
                               const struct variant *variant, struct error *err)
{
    char path[sizeof weights->source] = "";
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
    status = layer_map_create(&weights->map, stage->model, layer, err);
    if (status == STATUS_OK) {
        const size_t node = (size_t)weights->nodes.of[stage->team->rank];
        weights->from = share_begin(weights, node);
        weights->to = share_end(weights, node);
    }
    if (status == STATUS_OK && stage->team->node_rank == 0)
        clear_padding(weights);
    for (size_t i = 0; i < weights->map.num_tensors && status == STATUS_OK; i++)
        if (variant == NULL || is_mask || !tensor_is_pruned(stage->settings, layer, &weights->map.tensors[i]))
            status = expand_rows(weights, stage, &weights->map.tensors[i], err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    if (variant != NULL)
        FORWARD_IF_ERROR(overlay_layer(weights, stage, path, is_mask, err));
    FORWARD_IF_ERROR(exchange(weights, stage, err));

    layer_map_bind(&weights->layer, &weights->map, stage->model, weights->memory.data);
    weights->loaded = layer;
    snprintf(weights->source, sizeof weights->source, "%s", path);
    return STATUS_OK;
}
