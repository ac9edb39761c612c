#include "io/model/families/experts.h"
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

static const struct family_member hunyuan_moe_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.query_layernorm", query_norm),
    HEAD_NORM("self_attn.key_layernorm", key_norm),
    NORM("post_attention_layernorm", post_attention_norm),
    ROUTER("mlp.gate.wg", router, DIMENSION_EXPERTS),
    GATED_MLP(SPARSE_LAYER, "mlp.shared_mlp", DIMENSION_SHARED_INTERMEDIATE, NEVER),
    FUSED_OR_SEPARATE_EXPERTS(true),
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
// One number for all layers; a list of one for each layer must say the same of all.
static enum status read_topk(size_t *topk, const struct model_config *config,
                             const struct config_reader *reader, const char *key, struct error *err)
{
    const json_t *list = config_find(reader, key);

    if (!json_is_array(list))
        return config_optional_size(reader, key, topk, err);
    RETURN_ERROR_IF(json_array_size(list) < config->num_hidden_layers, err, STATUS_INPUT,
                    "%s: %s: must be a number, or one for each of %zu layers", reader->path, key,
                    config->num_hidden_layers);
    for (size_t i = 0; i < config->num_hidden_layers; i++) {
        const json_t *number = json_array_get(list, i);
        RETURN_ERROR_IF(!json_is_integer(number) || json_integer_value(number) < 1 ||
                            !json_equal(number, json_array_get(list, 0)),
                        err, STATUS_INPUT,
                        "%s: %s: layers that take different numbers of experts are not supported",
                        reader->path, key);
        *topk = (size_t)json_integer_value(number);
    }
    return STATUS_OK;
}

static enum status configure_hunyuan_moe(struct model_config *config, const struct config_reader *reader,
                                         struct error *err)
{
    struct decoder_config *decoder = &config->decoder;
    static const struct expert_keys keys = {
        .experts = "num_experts", .experts_alias = "num_local_experts", .default_experts = 1};
    const char *topk = config_has(reader, "num_experts_per_tok") ? "num_experts_per_tok" : "moe_topk";

    set_all_sparse(config);
    decoder->shared_expert_intermediate_size = decoder->intermediate_size;
    decoder->routing.normalise = true;
    decoder->num_experts_per_tok = 1;
    config_pass(reader, "moe_topk");
    FORWARD_IF_ERROR(read_topk(&decoder->num_experts_per_tok, config, reader, topk, err));
    FORWARD_IF_ERROR(read_expert_count(decoder, reader, &keys, topk, err));
    return configure_hunyuan(config, reader, err);
}

// Of the model's first code, whose variants the reference does not have.
static const char *const hunyuan_moe_harmless[] = {"eod_token_id",
                                                   "sep_token_id",
                                                   "moe_intermediate_size",
                                                   "num_shared_expert",
                                                   "use_mixed_mlp_moe",
                                                   "moe_drop_tokens",
                                                   "moe_layer_num_skipped",
                                                   "moe_random_routing_dropped_token",
                                                   "capacity_factor",
                                                   "norm_topk_prob",
                                                   "routed_scaling_factor",
                                                   "use_qk_norm",
                                                   "cla_share_factor",
                                                   "norm_type",
                                                   "attention_head_dim",
                                                   "mlp_bias",
                                                   NULL};

static const struct family rows[] = {
    {.model_type = "hunyuan_v1_moe",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(hunyuan_moe_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 2048,
     .harmless = hunyuan_moe_harmless,
     .configure_rope = configure_hunyuan_rope,
     .configure = configure_hunyuan_moe},
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
