#include "stages/prune/prune.h"

#include "stages/prune/auto.h"
#include "stages/prune/linear_order.h"
#include "stages/prune/score.h"
#include "stages/prune/sparsegpt.h"

enum status prune_layer(const struct stage *stage, struct layer_weights *weights,
                        const struct variant *const *variants, size_t count, size_t layer, struct error *err)
{
    const unsigned needs = method_needs(variants[0]->method);

    FORWARD_IF_ERROR(layer_weights_load(weights, stage, layer, NULL, err));
    for (size_t k = 0; k < count; k++)
        linear_orders_tell(stage, variants[k], &weights->map);
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

// Whether the variant orders the columns of any linear of the layer.
static bool orders_any(const struct variant *variant, const struct model *model,
                       const struct settings *settings, const struct layer_map *map)
{
    for (size_t i = 0; i < map->num_tensors; i++)
        if (tensor_is_pruned(settings, map->layer, &map->tensors[i]) &&
            linear_has_order(variant, &map->tensors[i], model))
            return true;
    return false;
}

// A variant that permutes must have something to order.
static enum status check_orders(const struct variant *variant, const struct model *model,
                                const struct settings *settings, struct error *err)
{
    bool any = !variant->permute;

    for (size_t layer = 0; layer < model->config.num_hidden_layers && !any; layer++) {
        struct layer_map map;
        FORWARD_IF_ERROR(layer_map_create(&map, model, layer, err));
        any = orders_any(variant, model, settings, &map);
        layer_map_free(&map);
    }
    RETURN_ERROR_IF(!any, err, STATUS_USAGE,
                    "prune.permute: no linear that is pruned has columns whose order is free: those are the "
                    "last linear of an MLP, and that of attention where %zu divides the %zu channels of a "
                    "head",
                    variant->of, value_head_dim(&model->config.decoder));
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
    for (size_t v = 0; v < settings->num_variants && status == STATUS_OK; v++)
        status = check_orders(&settings->variants[v], model, settings, err);
    return status;
}
