#include "io/model/families/experts.h"
#include "io/model/families/rows.h"

#define WHOLE_QUERY_KEY_NORMS                                         \
    NORM_ROW("self_attn.q_norm", query_norm, DIMENSION_QUERY, NEVER), \
        NORM_ROW("self_attn.k_norm", key_norm, DIMENSION_KEY_VALUE, NEVER)

static const struct family_member olmoe_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    WHOLE_QUERY_KEY_NORMS,
    NORM("post_attention_layernorm", post_attention_norm),
    ROUTER("mlp.gate", router, DIMENSION_EXPERTS),
    FUSED_OR_SEPARATE_EXPERTS(true),
};

static const struct family_member flex_olmo_members[] = {
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),  WHOLE_QUERY_KEY_NORMS,
    NORM("post_attention_layernorm", attention_output_norm), ROUTER("mlp.gate", router, DIMENSION_EXPERTS),
    NORM("post_feedforward_layernorm", output_norm),         FUSED_OR_SEPARATE_EXPERTS(true),
};

// Experts in every layer, as wide as intermediate_size says.
static enum status configure_experts(struct model_config *config, const struct config_reader *reader,
                                     size_t experts, size_t per_token, struct error *err)
{
    config->decoder.query_key_norm = QUERY_KEY_WHOLE;
    set_all_sparse(config);
    FORWARD_IF_ERROR(config_bool(reader, "norm_topk_prob", &config->decoder.routing.normalise, err));
    return read_experts(&config->decoder, reader, experts, per_token, err);
}

static enum status configure_olmoe(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    const struct config_reader nullable = config_nullable(reader);
    double clip = 0.0;

    FORWARD_IF_ERROR(config_real(&nullable, "clip_qkv", 1e-30, 1e30, &clip, err));
    config->decoder.clip_qkv = (float)clip;
    return configure_experts(config, reader, 64, 8, err);
}

static enum status configure_flex_olmo(struct model_config *config, const struct config_reader *reader,
                                       struct error *err)
{
    FORWARD_IF_ERROR(check_attention_dropout(reader, err));
    return configure_experts(config, reader, 7, 5, err);
}

static const struct family rows[] = {
    {.model_type = "olmoe",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(olmoe_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 4096,
     .configure = configure_olmoe},
    {.model_type = "flex_olmo",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(flex_olmo_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 5e5),
     .default_max_positions = 4096,
     .configure = configure_flex_olmo},
};
FAMILY_ROWS(olmoe_family, rows);
