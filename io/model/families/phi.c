#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

static const struct family_member phi3_members[] = {
    NORM("input_layernorm", input_norm),
    LINEAR("self_attn.qkv_proj", qkv, DIMENSION_QKV, DIMENSION_HIDDEN, SOURCE_ATTENTION, NEVER),
    LINEAR("self_attn.o_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    LINEAR("mlp.gate_up_proj", gate_up, DIMENSION_GATE_UP, DIMENSION_HIDDEN, SOURCE_MLP, NEVER),
    LINEAR("mlp.down_proj", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, NEVER),
};

static const struct family_member phi_members[] = {
    LAYER_NORM("input_layernorm", input_norm),
    LINEAR("self_attn.q_proj", q, DIMENSION_QUERY, DIMENSION_HIDDEN, SOURCE_ATTENTION, ALWAYS),
    LINEAR("self_attn.k_proj", k, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION, ALWAYS),
    LINEAR("self_attn.v_proj", v, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION, ALWAYS),
    OPTIONAL_NORM("self_attn.q_layernorm", query_norm, DIMENSION_HEAD, ALWAYS, WITH_QUERY_KEY_NORM),
    OPTIONAL_NORM("self_attn.k_layernorm", key_norm, DIMENSION_HEAD, ALWAYS, WITH_QUERY_KEY_NORM),
    LINEAR("self_attn.dense", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT, ALWAYS),
    LINEAR("mlp.fc1", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, ALWAYS),
    LINEAR("mlp.fc2", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, ALWAYS),
};

static enum status configure_phi(struct model_config *config, const struct config_reader *reader,
                                 struct error *err)
{
    FORWARD_IF_ERROR(config_not_null(reader, "head_dim", err));
    config->decoder.parallel_residual = true;
    return config_bool(reader, "qk_layernorm", &config->query_key_norm, err);
}

static enum status configure_phi3(struct model_config *config, const struct config_reader *reader,
                                  struct error *err)
{
    struct window window;

    FORWARD_IF_ERROR(read_window(&window, reader, 0, err));
    return set_windows(config, &window, reader, err);
}

// Of the code that came with the checkpoints.
static const char *const phi3_harmless[] = {"full_attn_mod", "interpolate_factor", NULL};

static const struct family rows[] = {
    {.model_type = "phi", // Phi-1, 1.5 and 2
     .prefix = "model.",
     .embedding = "embed_tokens",
     .layers = "layers",
     .final_norm = "final_layernorm",
     .lm_head = "lm_head",
     .lm_head_bias = true,
     .intermediate_key = "intermediate_size",
     MEMBERS(phi_members),
     ACTIVATION("hidden_act", "gelu_new"),
     NORMS(NORM_LAYER, "layer_norm_eps", 1e-5),
     ROPE("rope_theta", 1e4),
     .rotary_fraction_key = "partial_rotary_factor",
     .default_rotary_fraction = 0.5,
     .default_max_positions = 2048,
     .configure = configure_phi},
    {.model_type = "phi3",
     LLAMA_NAMES,
     MEMBERS(phi3_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     SIZES(32064, 3072, 8192, 32, 32),
     .harmless = phi3_harmless,
     .rotary_fraction_key = "partial_rotary_factor",
     .default_rotary_fraction = 1.0,
     .default_max_positions = 4096,
     .default_original_positions = 4096,
     .configure = configure_phi3},
};
FAMILY_ROWS(phi_family, rows);
