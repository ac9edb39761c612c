#include "io/model/families/granite.h"
#include "io/model/families/rows.h"

static const struct family_member granite_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, WITH_MLP_BIAS),
};

enum status configure_granite(struct model_config *config, const struct config_reader *reader,
                              struct error *err)
{
    double embedding = 1.0, residual = 1.0, attention = 1.0, logits = 1.0;

    FORWARD_IF_ERROR(config_number(reader, "embedding_multiplier", 1e-9, 1e9, &embedding, err));
    FORWARD_IF_ERROR(config_number(reader, "residual_multiplier", 1e-9, 1e9, &residual, err));
    FORWARD_IF_ERROR(config_number(reader, "attention_multiplier", 1e-9, 1e9, &attention, err));
    FORWARD_IF_ERROR(config_number(reader, "logits_scaling", 1e-9, 1e9, &logits, err));
    config->embedding_scale = embedding;
    config->decoder.residual_scale = (float)residual;
    config->decoder.attention_scale = (float)attention;
    config->logit_scale = (float)(1.0 / logits);
    return STATUS_OK;
}

static const struct family rows[] = {
    {.model_type = "granite",
     LLAMA_NAMES,
     MEMBERS(granite_members),
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 2048,
     .configure = configure_granite},
};
FAMILY_ROWS(granite_family, rows);
