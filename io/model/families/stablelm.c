#include "io/model/families/rows.h"

static const struct family_member stablelm_members[] = {
    LAYER_NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_QKV_BIAS, NEVER),
    OWN_HEAD_NORM("self_attn.q_layernorm.norms", query_norm, HEAD, WITH_QUERY_KEY_NORM),
    OWN_HEAD_NORM("self_attn.k_layernorm.norms", key_norm, KEY_VALUE_HEAD, WITH_QUERY_KEY_NORM),
    OPTIONAL_NORM("post_attention_layernorm", post_attention_norm, DIMENSION_HIDDEN, ALWAYS, SEQUENTIAL),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
};

static enum status configure_stablelm(struct model_config *config, const struct config_reader *reader,
                                      struct error *err)
{
    struct decoder_config *decoder = &config->decoder;

    FORWARD_IF_ERROR(config_not_null(reader, "num_key_value_heads", err));
    RETURN_ERROR_IF(decoder->head_dim * decoder->num_attention_heads != decoder->hidden_size, err,
                    STATUS_INPUT, "%s: head_dim: models of this type have hidden_size / num_attention_heads",
                    reader->path);
    FORWARD_IF_ERROR(config_bool(reader, "use_qkv_bias", &config->qkv_bias, err));
    FORWARD_IF_ERROR(config_bool(reader, "qk_layernorm", &config->query_key_norm, err));
    return config_bool(reader, "use_parallel_residual", &decoder->parallel_residual, err);
}

static const struct family rows[] = {
    {.model_type = "stablelm",
     LLAMA_NAMES,
     MEMBERS(stablelm_members),
     SILU,
     NORMS(NORM_LAYER, "layer_norm_eps", 1e-5),
     ROPE("rope_theta", 1e4),
     .rotary_fraction_key = "partial_rotary_factor",
     .default_rotary_fraction = 0.25,
     .default_key_value_heads = 32,
     .default_max_positions = 4096,
     .refused = "heads of another size than hidden_size / num_attention_heads",
     .configure = configure_stablelm},
};
FAMILY_ROWS(stablelm_family, rows);
