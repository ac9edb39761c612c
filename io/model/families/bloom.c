#include "io/model/families/rows.h"

static const struct family_member bloom_members[] = {
    LAYER_NORM("input_layernorm", input_norm),
    LINEAR("self_attention.query_key_value", qkv, DIMENSION_QKV, DIMENSION_HIDDEN, SOURCE_ATTENTION, ALWAYS),
    LINEAR("self_attention.dense", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT, ALWAYS),
    LAYER_NORM("post_attention_layernorm", post_attention_norm),
    LINEAR("mlp.dense_h_to_4h", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, ALWAYS),
    LINEAR("mlp.dense_4h_to_h", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, ALWAYS),
};

// How the training code computed; the order of sums over its shards (slow_but_exact) is not that of a model.
static const char *const bloom_harmless[] = {"attention_softmax_in_fp32",
                                             "bias_dropout_fusion",
                                             "masked_softmax_fusion",
                                             "n_inner",
                                             "offset_alibi",
                                             "skip_bias_add",
                                             "skip_bias_add_qkv",
                                             "slow_but_exact",
                                             NULL};

static enum status configure_bloom(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    config->decoder.qkv_layout = QKV_PER_HEAD;
    config->alibi = ALIBI_PLAIN;
    return config_bool(reader, "apply_residual_connection_post_layernorm", &config->decoder.norm_in_residual,
                       err);
}

static const struct family rows[] = {
    {.model_type = "bloom",
     .prefix = "transformer.",
     .embedding = "word_embeddings",
     .embedding_norm = "word_embeddings_layernorm",
     .layers = "h",
     .final_norm = "ln_f",
     .lm_head = "lm_head",
     .layers_key = "n_layer",
     .heads_key = "n_head",
     .hidden_key = "n_embed",
     .default_intermediate = 4,
     MEMBERS(bloom_members),
     ACTIVATION(NULL, "gelu_pytorch_tanh"),
     NORMS(NORM_LAYER, "layer_norm_epsilon", 1e-5),
     .multi_head = true,
     .free_pad_token = true,
     .default_max_positions = 2048,
     .default_tie = true,
     .harmless = bloom_harmless,
     .configure = configure_bloom},
};
FAMILY_ROWS(bloom_family, rows);
