#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

static const struct family_member cohere_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEADS_NORM("self_attn.q_norm", query_norm, DIMENSION_HEADS, WITH_QUERY_KEY_NORM),
    HEADS_NORM("self_attn.k_norm", key_norm, DIMENSION_KEY_VALUE_HEADS, WITH_QUERY_KEY_NORM),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
};

// Attention and MLP side by side behind one norm, rotary pairs of neighbours, and a factor on the logits.
static enum status configure_cohere(struct model_config *config, const struct config_reader *reader,
                                    struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double scale = 0.0625;

    FORWARD_IF_ERROR(config_not_null(reader, "head_dim", err));
    config->decoder.parallel_residual = true;
    config->decoder.interleaved_rotary = true;
    FORWARD_IF_ERROR(config_real(reader, "logit_scale", 1e-9, 1e9, &scale, err));
    config->logit_scale = (float)scale;
    return config_bool(&nullable, "use_qk_norm", &config->query_key_norm, err);
}

// What the reference always does.
static const char *const cohere2_harmless[] = {
    "layer_switch",       "order_of_interleaved_layers", "position_embedding_type",
    "rotary_pct",         "use_embedding_sharing",       "use_gated_activation",
    "use_parallel_block", "use_parallel_embedding",      NULL};

// Layers with a window have a rotary embedding, the others have none.
static enum status configure_cohere2(struct model_config *config, const struct config_reader *reader,
                                     struct error *err)
{
    size_t period = 4;
    struct window window;
    bool found;

    FORWARD_IF_ERROR(configure_cohere(config, reader, err));
    config->query_key_norm = false; // there is no such key
    FORWARD_IF_ERROR(read_window(&window, reader, 4096, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    if (found)
        config_pass(reader, "sliding_window_pattern");
    else
        FORWARD_IF_ERROR(config_optional_size(reader, "sliding_window_pattern", &period, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++) {
        if (!found && (i + 1) % period != 0)
            FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
        config->layers[i].no_rotary = config->layers[i].sliding_window == 0;
    }
    return STATUS_OK;
}

static const struct family rows[] = {
    {.model_type = "cohere",
     LLAMA_NAMES,
     MEMBERS(cohere_members),
     .can_add_attention_bias = true,
     SILU,
     NORMS(NORM_LAYER, "layer_norm_eps", 1e-5),
     .norm_without_bias = true,
     ROPE("rope_theta", 5e5),
     .default_max_positions = 8192,
     .default_tie = true,
     .configure = configure_cohere},
    {.model_type = "cohere2",
     LLAMA_NAMES,
     MEMBERS(cohere_members),
     .can_add_attention_bias = true,
     SILU,
     NORMS(NORM_LAYER, "layer_norm_eps", 1e-5),
     .norm_without_bias = true,
     ROPE("rope_theta", 1e4),
     SIZES(256000, 8192, 22528, 40, 64),
     .default_max_positions = 8192,
     .default_tie = true,
     .harmless = cohere2_harmless,
     .configure = configure_cohere2},
};
FAMILY_ROWS(cohere_family, rows);
