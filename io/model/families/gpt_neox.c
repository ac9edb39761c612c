#include "io/model/families/rows.h"

static const struct family_member gpt_neox_members[] = {
    LAYER_NORM("input_layernorm", input_norm),
    LINEAR("attention.query_key_value", qkv, DIMENSION_QKV, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("attention.dense", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT,
           WITH_ATTENTION_BIAS),
    LAYER_NORM("post_attention_layernorm", post_attention_norm),
    LINEAR("mlp.dense_h_to_4h", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, ALWAYS),
    LINEAR("mlp.dense_4h_to_h", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, ALWAYS),
};

static enum status configure_gpt_neox(struct model_config *config, const struct config_reader *reader,
                                      struct error *err)
{
    config->decoder.qkv_layout = QKV_PER_HEAD;
    config->decoder.parallel_residual = true;
    return config_bool(reader, "use_parallel_residual", &config->decoder.parallel_residual, err);
}

static const struct family rows[] = {
    {.model_type = "gpt_neox",
     .prefix = "gpt_neox.",
     .embedding = "embed_in",
     .layers = "layers",
     .final_norm = "final_layer_norm",
     .lm_head = "embed_out",
     .lm_head_elsewhere = "lm_head",
     .intermediate_key = "intermediate_size",
     MEMBERS(gpt_neox_members),
     ACTIVATION("hidden_act", "gelu"),
     NORMS(NORM_LAYER, "layer_norm_eps", 1e-5),
     ROPE("rotary_emb_base", 1e4),
     .rotary_fraction_key = "rotary_pct",
     .multi_head = true,
     .default_rotary_fraction = 0.25,
     .free_pad_token = true,
     .default_max_positions = 2048,
     .default_attention_bias = true,
     .configure = configure_gpt_neox},
};
FAMILY_ROWS(gpt_neox_family, rows);
