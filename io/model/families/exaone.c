#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

// A LLaMA by other names.
static const struct family_member exaone_members[] = {
    NORM("ln_1", input_norm),
    LINEAR("attn.attention.q_proj", q, DIMENSION_QUERY, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("attn.attention.k_proj", k, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("attn.attention.v_proj", v, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("attn.attention.out_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT,
           WITH_ATTENTION_BIAS),
    NORM("ln_2", post_attention_norm),
    LINEAR("mlp.c_fc_0", gate, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, WITH_MLP_BIAS),
    LINEAR("mlp.c_fc_1", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, WITH_MLP_BIAS),
    LINEAR("mlp.c_proj", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, WITH_MLP_BIAS),
};

static const struct key_alias exaone_aliases[] = {{"num_layers", "num_hidden_layers"},
                                                  {"layer_norm_epsilon", "rms_norm_eps"},
                                                  {"activation_function", "hidden_act"},
                                                  {NULL, NULL}};

static const struct family_member exaone4_members[] = {
    SEPARATE_QKV(NEVER, NEVER),
    HEAD_NORM("self_attn.q_norm", query_norm),
    HEAD_NORM("self_attn.k_norm", key_norm),
    NORM("post_attention_layernorm", attention_output_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    NORM("post_feedforward_layernorm", output_norm),
};

// In models with windows the layers that have none have no rotary embedding either.
static enum status configure_exaone4(struct model_config *config, const struct config_reader *reader,
                                     struct error *err)
{
    struct window window;
    size_t period = 4;
    bool found;

    FORWARD_IF_ERROR(read_window(&window, reader, 4096, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    config_pass(reader, "sliding_window_pattern");
    RETURN_ERROR_IF(!found && window.is_null, err, STATUS_INPUT,
                    "%s: layer_types: is missing, which it may not be without a sliding_window",
                    reader->path);
    if (!found)
        FORWARD_IF_ERROR(config_optional_size(reader, "sliding_window_pattern", &period, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++) {
        if (!found && (i + 1) % period != 0)
            FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
        config->layers[i].no_rotary = !window.is_null && config->layers[i].sliding_window == 0;
    }
    return STATUS_OK;
}

static const struct family rows[] = {
    {.model_type = "exaone",
     .prefix = "transformer.",
     .embedding = "wte",
     .layers = "h",
     .final_norm = "ln_f",
     .lm_head = "lm_head",
     .intermediate_key = "intermediate_size",
     MEMBERS(exaone_members),
     .aliases = exaone_aliases,
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 5e5),
     .divided_hidden = true,
     .default_key_value_heads = 8,
     .default_max_positions = 4096},
    {.model_type = "exaone4",
     LLAMA_NAMES,
     MEMBERS(exaone4_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .default_key_value_heads = 32,
     .default_max_positions = 2048,
     .configure = configure_exaone4},
};
FAMILY_ROWS(exaone_family, rows);
