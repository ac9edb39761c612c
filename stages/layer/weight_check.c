#include "stages/layer/weight_check.h"

#include "io/file/interrupt.h"
#include "io/model/outer_tensors.h"
#include "io/model/tensor_rows.h"
#include "io/model/weights/coded.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

// The shard that holds a tensor, for messages.
static const char *tensor_file(const struct model *model, const struct safetensors_tensor *tensor)
{
    size_t shard = 0;
    return checkpoint_find(model->checkpoint, tensor->name, &shard) != NULL
               ? model->checkpoint->shards[shard]->path
               : "checkpoint";
}

// These rows of a tensor that is a matrix of its own.
static enum status check_whole_finite(const struct model *model, const struct safetensors_tensor *tensor,
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

enum status check_finite(const struct model *model, const struct layer_tensor *tensor,
                         const struct node_rows *rows, struct error *err)
{
    return tensor->is_part ? check_part_finite(model, tensor, rows, err)
                           : check_whole_finite(model, tensor->tensor, rows, err);
}

// ---- tensors as they are stored -------------------------------------------------------------------------

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
