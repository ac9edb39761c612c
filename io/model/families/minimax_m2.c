#include "io/model/families/experts.h"
#include "io/model/families/rows.h"

static const struct family_member minimax_m2_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(NEVER, NEVER),
    NORM_ROW("self_attn.q_norm", query_norm, DIMENSION_QUERY, NEVER),
    NORM_ROW("self_attn.k_norm", key_norm, DIMENSION_KEY_VALUE, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    ROUTER("block_sparse_moe.gate", router, DIMENSION_EXPERTS),
    ROUTER_CORRECTION("block_sparse_moe.e_score_correction_bias", DIMENSION_EXPERTS, DIMENSION_ONE),
    EXPERTS("w1", "w3", "w2"),
};

static enum status configure_minimax_m2(struct model_config *config, const struct config_reader *reader,
                                        struct error *err)
{
    static const struct expert_keys keys = {.experts = "num_local_experts",
                                            .experts_alias = "num_experts",
                                            .per_token = "num_experts_per_tok",
                                            .default_experts = 256,
                                            .default_per_token = 8};

    config->decoder.query_key_norm = QUERY_KEY_WHOLE;
    config->decoder.routing.scores = ROUTING_SIGMOID;
    config->decoder.routing.normalise = true;
    set_all_sparse(config);
    return read_expert_keys(&config->decoder, reader, &keys, err);
}

// Of the model's first code and its kin; the reference has one kind of norm, of scores and of attention.
static const char *const minimax_m2_harmless[] = {"attn_type_list",
                                                  "layernorm_full_attention_beta",
                                                  "layernorm_linear_attention_beta",
                                                  "layernorm_mlp_beta",
                                                  "mlp_intermediate_size",
                                                  "mtp_transformer_layers",
                                                  "num_mtp_modules",
                                                  "qk_norm_type",
                                                  "scoring_func",
                                                  "shared_intermediate_size",
                                                  "shared_moe_mode",
                                                  "swa_rope_theta",
                                                  "use_mtp",
                                                  "use_qk_norm",
                                                  "use_routing_bias",
                                                  NULL};

static const struct family rows[] = {
    {.model_type = "minimax_m2",
     LLAMA_NAMES,
     .experts = "block_sparse_moe.experts",
     MEMBERS(minimax_m2_members),
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 5e6),
     .rotary_fraction_key = "partial_rotary_factor",
     .rotary_dim_key = "rotary_dim",
     .default_rotary_fraction = 1.0,
     .default_key_value_heads = 8,
     .default_head_dim = 128,
     .default_max_positions = 196608,
     .harmless = minimax_m2_harmless,
     .configure = configure_minimax_m2},
};
FAMILY_ROWS(minimax_m2_family, rows);
