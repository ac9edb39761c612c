#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

static const struct family_member ministral_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(NEVER, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
};

static enum status configure_ministral(struct model_config *config, const struct config_reader *reader,
                                       struct error *err)
{
    struct window window;
    bool found;

    FORWARD_IF_ERROR(read_window(&window, reader, 4096, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    FORWARD_IF_ERROR(require_window(&window, reader, err));
    return found ? STATUS_OK : set_windows(config, &window, reader, err);
}

// All layers have the window, whatever `layer_types` says of them.
static enum status configure_ministral3(struct model_config *config, const struct config_reader *reader,
                                        struct error *err)
{
    struct window window;
    bool found;

    FORWARD_IF_ERROR(read_window(&window, reader, 0, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    return set_windows(config, &window, reader, err);
}

static enum status configure_ministral3_rope(struct model_config *config, const struct rope_source *source,
                                             struct error *err)
{
    static const char beta[] = "llama_4_scaling_beta", context[] = "original_max_position_embeddings";
    const struct config_reader *parameters = &source->parameters;

    config_pass(parameters, "max_position_embeddings");
    RETURN_ERROR_IF(config_find(parameters, beta) == NULL, err, STATUS_INPUT, "%s: %s%s: is missing",
                    parameters->path, parameters->prefix, beta);
    RETURN_ERROR_IF(config->rope.type != ROPE_YARN && config->rope.type != ROPE_LLAMA3 &&
                        config->rope.type != ROPE_LONGROPE && config_find(parameters, context) == NULL,
                    err, STATUS_INPUT, "%s: %s%s: is missing", parameters->path, parameters->prefix, context);
    FORWARD_IF_ERROR(config_number(parameters, beta, 0.0, 1e6, &config->query_scale_beta, err));
    config->query_scale_context = config->rope.original_max_position_embeddings;
    if (config->rope.type == ROPE_YARN || config->rope.type == ROPE_LLAMA3 ||
        config->rope.type == ROPE_LONGROPE)
        return STATUS_OK;
    return config_number(parameters, context, 1, 1e12, &config->query_scale_context, err);
}

static const struct family rows[] = {
    {.model_type = "ministral",
     LLAMA_NAMES,
     MEMBERS(ministral_members),
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_key_value_heads = 8,
     .default_max_positions = 131072,
     .configure = configure_ministral},
    {.model_type = "ministral3",
     LLAMA_NAMES,
     MEMBERS(ministral_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     SIZES(131072, 4096, 14336, 34, 32),
     .default_rope = "{\"type\": \"yarn\", \"rope_theta\": 1000000.0, \"factor\": 16.0,"
                     " \"original_max_position_embeddings\": 16384, \"beta_fast\": 32.0, \"beta_slow\": 1.0,"
                     " \"mscale_all_dim\": 1.0, \"mscale\": 1.0, \"llama_4_scaling_beta\": 0.1}",
     .default_key_value_heads = 8,
     .default_head_dim = 128,
     .default_max_positions = 262144,
     .configure_rope = configure_ministral3_rope,
     .configure = configure_ministral3},
};
FAMILY_ROWS(ministral_family, rows);
