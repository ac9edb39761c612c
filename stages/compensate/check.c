#include "stages/compensate/compensate.h"

#include "stages/stage.h"

// How many pruned linears there are, and where they have or can have a bias.
struct places {
    size_t linears, present, attention, mlp;
};

// What variants ask for that compares the dense model's outputs with the pruned one's.
struct asked {
    bool outputs, biases;
};

static enum status refuse_expert(const struct asked *asked, size_t layer, const char *linear,
                                 struct error *err)
{
    static const char *const why = "the dense and the pruned model route other tokens to them";

    if (asked->outputs)
        return error_set(
            err, STATUS_USAGE,
            "compensate.output: layers.%zu.%s: outputs of experts cannot be matched: %s; leave experts out "
            "with prune.skip, or matching off",
            layer, linear, why);
    return error_set(
        err, STATUS_USAGE,
        "compensate.bias: layers.%zu.%s: a bias makes the mean of an output that of the dense model, and "
        "means of experts cannot be compared: %s; leave experts out with prune.skip, or compensate.bias off",
        layer, linear, why);
}

static enum status check_layer(struct places *places, const struct asked *asked, const struct model *model,
                               const struct settings *settings, size_t layer, struct error *err)
{
    struct layer_map map;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(layer_map_create(&map, model, layer, err));
    for (size_t i = 0; i < map.num_tensors && status == STATUS_OK; i++) {
        const struct layer_tensor *tensor = &map.tensors[i];
        if (!tensor_is_pruned(settings, layer, tensor))
            continue;
        places->linears++;
        places->present += tensor->bias == BIAS_PRESENT;
        places->attention += tensor->bias == BIAS_ATTENTION;
        places->mlp += tensor->bias == BIAS_MLP;
        if (tensor->expert)
            status = refuse_expert(asked, layer, tensor->linear, err);
    }
    layer_map_free(&map);
    return status;
}

enum status compensate_check(struct model *model, const struct settings *settings, struct error *err)
{
    struct places places = {0};
    struct asked asked = {false, false};

    for (size_t v = 0; v < settings->num_variants; v++) {
        // Least squares takes experts by themselves, on the pruned model's tokens.
        const struct variant *variant = &settings->variants[v];
        asked.outputs = asked.outputs || (variant->output != MATCHING_OFF && variant_matches(variant) &&
                                          !variant_solves(variant));
        asked.biases = asked.biases || variant->bias;
    }
    if (!asked.outputs && !asked.biases)
        return STATUS_OK;
    for (size_t layer = 0; layer < model->config.num_hidden_layers; layer++)
        FORWARD_IF_ERROR(check_layer(&places, &asked, model, settings, layer, err));
    if (!asked.biases)
        return STATUS_OK;
    RETURN_ERROR_IF(places.linears > 0 && places.present + places.attention + places.mlp == 0, err,
                    STATUS_USAGE,
                    "compensate.bias: %s has no place for the biases of the linears that are pruned: the "
                    "family's config.json cannot ask for them",
                    model->config.model_type);
    model_add_biases(model, places.attention > 0, places.mlp > 0);
    return STATUS_OK;
}
