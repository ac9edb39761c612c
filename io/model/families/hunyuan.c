#include "io/model/families/rows.h"

#include <math.h>

static const struct family_member hunyuan_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.query_layernorm", query_norm),
    HEAD_NORM("self_attn.key_layernorm", key_norm),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
};

static enum status configure_hunyuan(struct model_config *config, const struct config_reader *reader,
                                     struct error *err)
{
    RETURN_ERROR_IF(config_find(reader, "head_dim") == NULL, err, STATUS_INPUT, "%s: head_dim: is missing",
                    reader->path);
    config->decoder.rotary_before_norm = true;
    return STATUS_OK;
}

// "dynamic" with an `alpha` that is not 0 has a theta that does not depend on the length.
static enum status configure_hunyuan_rope(struct model_config *config, const struct rope_source *source,
                                          struct error *err)
{
    const struct config_reader nullable = config_nullable(&source->parameters);
    const double d = (double)config->decoder.head_dim;
    double alpha = 0.0;

    FORWARD_IF_ERROR(config_number(&nullable, "alpha", 0.0, 1e30, &alpha, err));
    if (config->rope.type != ROPE_DYNAMIC || alpha == 0.0)
        return STATUS_OK;
    config->rope.type = ROPE_DEFAULT;
    config->rope.theta *= pow(alpha, d / (d - 2.0));
    return STATUS_OK;
}

// Of the other models that their own code knows, and of tokens.
static const char *const hunyuan_harmless[] = {"add_classification_head",
                                               "attention_head_dim",
                                               "cla_share_factor",
                                               "class_num",
                                               "dense_list",
                                               "im_*",
                                               "mask_init_id",
                                               "mlp_bias",
                                               "norm_type",
                                               "org_vocab_size",
                                               "pad_id",
                                               "pool_type",
                                               "position_embedding_xdrope",
                                               "text_*",
                                               "use_cla",
                                               "use_qk_norm",
                                               "use_rotary_pos_emb",
                                               NULL};

static const struct family rows[] = {
    {.model_type = "hunyuan_v1_dense",
     LLAMA_NAMES,
     MEMBERS(hunyuan_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 2048,
     .configure_rope = configure_hunyuan_rope,
     .harmless = hunyuan_harmless,
     .configure = configure_hunyuan},
};
FAMILY_ROWS(hunyuan_family, rows);
