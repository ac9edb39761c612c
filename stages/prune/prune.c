#include "stages/prune/prune.h"

#include "stages/prune/auto.h"
#include "stages/prune/score.h"
#include "stages/prune/sparsegpt.h"

enum status prune_layer(const struct stage *stage, struct layer_weights *weights,
                        const struct variant *const *variants, size_t count, size_t layer, struct error *err)
{
    const unsigned needs = method_needs(variants[0]->method);

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    if (needs & NEEDS_HESSIAN)
        return sparsegpt_layer(stage, weights, variants, count, layer, err);
    if (!(needs & NEEDS_OUTPUTS))
        return score_layer(stage, weights, variants, count, layer, err);
    for (size_t k = 0; k < count; k++)
        FORWARD_IF_ERROR(auto_layer(stage, weights, variants[k], layer, err));
    return STATUS_OK;
}

static enum status check_pattern(const struct variant *variant, size_t layer,
                                 const struct layer_tensor *tensor, struct error *err)
{
    RETURN_ERROR_IF(variant->is_pattern && tensor->in % variant->of != 0, err, STATUS_USAGE,
                    "pattern %zu:%zu: layers.%zu.%s has %zu columns, which %zu does not divide",
                    variant->keep, variant->of, layer, tensor->linear, tensor->in, variant->of);
    return STATUS_OK;
}

enum status prune_check(const struct model *model, const struct settings *settings, struct error *err)
{
    enum status status = STATUS_OK;

    for (size_t layer = 0; layer < model->config.num_hidden_layers && status == STATUS_OK; layer++) {
        struct layer_map map;
        FORWARD_IF_ERROR(layer_map_create(&map, model, layer, err));
        for (size_t i = 0; i < map.num_tensors; i++)
            for (size_t v = 0; v < settings->num_variants && status == STATUS_OK; v++)
                if (tensor_is_pruned(settings, layer, &map.tensors[i]))
                    status = check_pattern(&settings->variants[v], layer, &map.tensors[i], err);
        layer_map_free(&map);
    }
    return status;
}
