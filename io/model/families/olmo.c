#include "io/model/families/layer_ropes.h"
#include "io/model/families/rows.h"
#include "io/model/families/windows.h"

static const struct family_member olmo_members[] = {
    PLAIN_NORM(input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    PLAIN_NORM(post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
};

static const struct family_member olmo2_members[] = {
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM_ROW("self_attn.q_norm", query_norm, DIMENSION_QUERY, NEVER),
    NORM_ROW("self_attn.k_norm", key_norm, DIMENSION_KEY_VALUE, NEVER),
    NORM("post_attention_layernorm", attention_output_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    NORM("post_feedforward_layernorm", output_norm),
};

static enum status configure_olmo(struct model_config *config, const struct config_reader *reader,
                                  struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double clip = 0.0;

    FORWARD_IF_ERROR(config_real(&nullable, "clip_qkv", 1e-30, 1e30, &clip, err));
    config->decoder.clip_qkv = (float)clip;
    return STATUS_OK;
}

static enum status configure_olmo2(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    (void)reader;
    (void)err;
    config->decoder.query_key_norm = QUERY_KEY_WHOLE;
    return STATUS_OK;
}

// Three layers of four have a window, and rotary embeddings without scaling.
static enum status configure_olmo3(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    static const struct layer_ropes ropes = {5e5, 5e5, NULL};
    struct window window;
    bool found;

    config->decoder.query_key_norm = QUERY_KEY_WHOLE;
    FORWARD_IF_ERROR(read_window(&window, reader, 4096, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    FORWARD_IF_ERROR(require_window(&window, reader, err));
    for (size_t i = 0; i < config->num_hidden_layers; i++) {
        if (!found && (i + 1) % 4 != 0)
            FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
        config->layers[i].local_rotary = config->layers[i].sliding_window != 0;
    }
    return read_layer_ropes(config, reader, &ropes, err);
}

// Its norms have an epsilon of their own.
static const char *const olmo_harmless[] = {"rms_norm_eps", "layer_norm_eps", NULL};

static const struct family rows[] = {
    {.model_type = "olmo",
     .prefix = "model.",
     .embedding = "embed_tokens",
     .layers = "layers",
     .lm_head = "lm_head",
     .intermediate_key = "intermediate_size",
     MEMBERS(olmo_members),
     .can_add_attention_bias = true,
     SILU,
     NORMS(NORM_LAYER, NULL, 1e-5),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 2048,
     .harmless = olmo_harmless,
     .configure = configure_olmo},
    {.model_type = "olmo2",
     LLAMA_NAMES,
     MEMBERS(olmo2_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 2048,
     .configure = configure_olmo2},
    {.model_type = "olmo3",
     LLAMA_NAMES,
     MEMBERS(olmo2_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-5),
     ROPE(NULL, 5e5),
     .default_max_positions = 2048,
     .configure = configure_olmo3},
};
FAMILY_ROWS(olmo_family, rows);
