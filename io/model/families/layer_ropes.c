#include "io/model/families/layer_ropes.h"

#include <stdio.h>

// The rotary embedding of one layer type: root's keys, and the object at `type` in *nested.
static enum status read_layer_type_rope(struct rope_config *rope, struct rope_source *source,
                                        const struct config_reader *nested, const char *type,
                                        size_t rotary_dim, struct error *err)
{
    char prefix[64];

    snprintf(prefix, sizeof prefix, "rope_parameters.%s.", type);
    source->parameters = (struct config_reader){.path = nested->path, .prefix = ""};
    if (nested->object != NULL)
        FORWARD_IF_ERROR(config_object(nested, type, prefix, &source->parameters, err));
    return rope_config_read(rope, source, rotary_dim, err);
}

// Puts the entries of `rope_scaling` over those of rope_parameters.full_attention in *nested, a new object
// for the caller to decref: that is where they belonged before local layers got parameters of their own.
static enum status merge_rope_scaling(json_t **nested, const struct config_reader *reader,
                                      const struct config_reader *scaling, struct error *err)
{
    const json_t *parameters = config_value(reader, "rope_parameters");
    json_t *full;

    *nested = json_is_object(parameters) ? json_deep_copy((json_t *)parameters)
                                         : json_pack("{s:{s:s}, s:{s:s}}", "full_attention", "rope_type",
                                                     "default", "sliding_attention", "rope_type", "default");
    full = json_object_get(*nested, "full_attention");
    RETURN_ERROR_IF(*nested == NULL, err, STATUS_MEMORY, "out of memory for config.json");
    if (scaling->object == NULL)
        return STATUS_OK;
    RETURN_ERROR_IF(!json_is_object(full), err, STATUS_INPUT,
                    "%s: rope_scaling: belongs to rope_parameters.full_attention, which is missing",
                    reader->path);
    RETURN_ERROR_IF(json_object_update(full, (json_t *)scaling->object) != 0, err, STATUS_MEMORY,
                    "out of memory for config.json");
    return STATUS_OK;
}

enum status read_layer_ropes(struct model_config *config, const struct config_reader *reader,
                             const struct layer_ropes *ropes, struct error *err)
{
    const size_t rotary_dim = config->decoder.rotary_dim;
    struct rope_source source = {.root = reader, .whole_heads = true, .ignore_root_context = true};
    struct config_reader scaling, parameters;
    json_t *merged = NULL;
    enum status status;

    config->rope.theta = ropes->default_theta;
    config->local_rope.theta = ropes->default_local_theta;
    FORWARD_IF_ERROR(config_object(reader, "rope_scaling", "rope_scaling.", &scaling, err));
    FORWARD_IF_ERROR(config_object(reader, "rope_parameters", "rope_parameters.", &parameters, err));
    GOTO_IF_ERROR(merge_rope_scaling(&merged, reader, &scaling, err), done);
    parameters.object = merged;
    rope_pass_keys(&parameters); // only those of the layer types count
    source.theta_key = "rope_theta";
    GOTO_IF_ERROR(
        read_layer_type_rope(&config->rope, &source, &parameters, "full_attention", rotary_dim, err), done);
    // What was read of these came with them from there.
    if (scaling.seen != NULL && source.parameters.seen != NULL &&
        json_object_update_missing(scaling.seen, source.parameters.seen) != 0)
        *scaling.lost = true;
    source.theta_key = ropes->local_theta_key;
    status =
        read_layer_type_rope(&config->local_rope, &source, &parameters, "sliding_attention", rotary_dim, err);
done:
    json_decref(merged);
    return status;
}
