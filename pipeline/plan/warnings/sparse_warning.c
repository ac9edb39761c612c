#include "pipeline/plan/warnings/sparse_warning.h"

#include "io/model/tensor_rows.h"
#include "kernels/pruning/masks/held_zeros.h"
#include "stages/stage.h"

#include <stdlib.h>

enum { LAYERS = 8, LINEARS = 64, ROWS = 4 }; // that are looked at, spread over the model

struct zeros {
    double zeros, weights;
};

static void count_rows(struct zeros *found, const struct layer_tensor *tensor,
                       const struct checkpoint *checkpoint)
{
    float *row = malloc(tensor->in * sizeof *row);
    uint64_t bytes;
    size_t shard;

    for (size_t k = 0; k < ROWS && row != NULL; k++) {
        tensor_rows_f32(row, tensor, tensor->out * (2 * k + 1) / (2 * ROWS), 1);
        for (size_t j = 0; j < tensor->in; j++)
            found->zeros += row[j] == 0;
        found->weights += (double)tensor->in;
    }
    free(row);
    const char *span = tensor_rows_span(&bytes, tensor, 0, tensor->out);
    if (checkpoint_find(checkpoint, tensor->tensor->name, &shard) != NULL)
        safetensors_release(checkpoint->shards[shard], span, bytes);
}

static void count_layer(struct zeros *found, const struct layer_map *map, const struct settings *settings,
                        const struct checkpoint *checkpoint)
{
    const size_t step = map->num_tensors / LINEARS + 1;
    for (size_t i = 0; i < map->num_tensors; i += step)
        if (tensor_is_pruned(settings, map->layer, &map->tensors[i]) && map->tensors[i].tensor != NULL)
            count_rows(found, &map->tensors[i], checkpoint);
}

void sparse_warning(struct warnings *warnings, const struct model *model, const struct settings *settings)
{
    const size_t layers = model->config.num_hidden_layers, step = (layers + LAYERS - 1) / LAYERS;
    struct zeros found = {0, 0};

    for (size_t layer = 0; layer < layers && model->config.quantisation.kind == QUANTISATION_NONE;
         layer += step) {
        struct layer_map map;
        if (layer_map_create(&map, model, layer, NULL) != STATUS_OK)
            continue; // out of memory, which is said elsewhere
        count_layer(&found, &map, settings, model->checkpoint);
        layer_map_free(&map);
    }
    if (found.zeros * (double)HELD_ZEROS_ONE_IN >= found.weights && found.zeros > 0)
        warnings_add(warnings,
                     "the model is sparse already: about %.0f %% of the weights of the linears that are "
                     "pruned are zero; "
                     "they stay zero, and count as pruned",
                     100 * found.zeros / found.weights);
}
