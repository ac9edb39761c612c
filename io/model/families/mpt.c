#include "io/model/families/rows.h"

#include <string.h>

static const struct family_member mpt_members[] = {
    NORM("norm_1", input_norm),
    LINEAR("attn.Wqkv", qkv, DIMENSION_QKV, DIMENSION_HIDDEN, SOURCE_ATTENTION, NEVER),
    LINEAR("attn.out_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT, NEVER),
    NORM("norm_2", post_attention_norm),
    LINEAR("ffn.up_proj", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, NEVER),
    LINEAR("ffn.down_proj", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, NEVER),
};

// How the training code ran. Learned positions give way to ALiBi.
static const char *const mpt_harmless[] = {"embedding_fraction", "init_config", "init_device",
                                           "learned_pos_emb",    "norm_type",   "verbose",
                                           "tokenizer_name",     NULL};

// What the code of the first checkpoints had, and the reference does not compute.
static enum status refuse_others(const struct config_reader *attention, const struct config_reader *root,
                                 struct error *err)
{
    static const struct {
        const char *key;
        bool expected;
    } switches[] = {
        {"alibi", true}, {"qk_ln", false}, {"prefix_lm", false}, {"attn_uses_sequence_id", false}};
    const struct config_reader nullable = config_nullable(attention);
    const char *type = "multihead_attention";
    size_t ratio = 4, bias_max = 8;
    bool no_bias = true;

    for (size_t i = 0; i < LENGTH(switches); i++) {
        bool value = switches[i].expected;
        FORWARD_IF_ERROR(config_bool(&nullable, switches[i].key, &value, err));
        RETURN_ERROR_IF(value != switches[i].expected, err, STATUS_INPUT, "%s: %s%s: must be %s",
                        attention->path, attention->prefix, switches[i].key,
                        switches[i].expected ? "true" : "false");
    }
    FORWARD_IF_ERROR(config_string(attention, "attn_type", &type, err));
    RETURN_ERROR_IF(strcmp(type, "multihead_attention") != 0, err, STATUS_INPUT,
                    "%s: %sattn_type: must be \"multihead_attention\"", attention->path, attention->prefix);
    config_pass(attention, "attn_impl");
    FORWARD_IF_ERROR(config_optional_size(attention, "alibi_bias_max", &bias_max, err));
    RETURN_ERROR_IF(bias_max != 8, err, STATUS_INPUT, "%s: %salibi_bias_max: must be 8", attention->path,
                    attention->prefix);
    FORWARD_IF_ERROR(config_optional_size(root, "expansion_ratio", &ratio, err));
    RETURN_ERROR_IF(ratio != 4, err, STATUS_INPUT, "%s: expansion_ratio: must be 4", root->path);
    FORWARD_IF_ERROR(config_bool(root, "no_bias", &no_bias, err));
    RETURN_ERROR_IF(!no_bias, err, STATUS_INPUT, "%s: no_bias: must be true", root->path);
    RETURN_ERROR_IF(config_find(root, "logit_scale") != NULL, err, STATUS_INPUT,
                    "%s: logit_scale: is not supported", root->path);
    return STATUS_OK;
}

static enum status configure_mpt(struct model_config *config, const struct config_reader *reader,
                                 struct error *err)
{
    struct config_reader attention, nullable;
    double clip = 0.0, scale = 0.0;

    FORWARD_IF_ERROR(config_object(reader, "attn_config", "attn_config.", &attention, err));
    FORWARD_IF_ERROR(refuse_others(&attention, reader, err));
    nullable = config_nullable(&attention);
    FORWARD_IF_ERROR(config_number(&nullable, "clip_qkv", 0.0, 1e9, &clip, err));
    FORWARD_IF_ERROR(config_number(&nullable, "softmax_scale", 1e-9, 1e9, &scale, err));
    config->decoder.clip_qkv = (float)clip;
    if (scale != 0.0)
        config->decoder.attention_scale = (float)scale;
    config->alibi = ALIBI_PLAIN;
    config->bounded_positions = true;
    return STATUS_OK;
}

static const struct family rows[] = {
    {.model_type = "mpt",
     .prefix = "transformer.",
     .embedding = "wte",
     .layers = "blocks",
     .final_norm = "norm_f",
     .norm_without_bias = true,
     .lm_head = "lm_head",
     .layers_key = "n_layers",
     .heads_key = "n_heads",
     .hidden_key = "d_model",
     .positions_key = "max_seq_len",
     .default_intermediate = 4,
     MEMBERS(mpt_members),
     ACTIVATION(NULL, "gelu"),
     NORMS(NORM_LAYER, "layer_norm_epsilon", 1e-5),
     .multi_head = true,
     .default_max_positions = 2048,
     .default_tie = true,
     .harmless = mpt_harmless,
     .refused = "attention without ALiBi, with a norm of queries and keys or a prefix; logit_scale; biases",
     .configure = configure_mpt},
};
FAMILY_ROWS(mpt_family, rows);
