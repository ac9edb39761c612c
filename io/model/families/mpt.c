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

// How the training code ran. The reference has ALiBi and no biases, whatever these say.
static const char *const mpt_harmless[] = {"embedding_fraction", "init_config", "init_device",
                                           "learned_pos_emb",    "norm_type",   "verbose",
                                           "tokenizer_name",     NULL};

// What the code of the first checkpoints could do: the reference computes the same in any case, but refuses
// values of another type.
static enum status check_unused(const struct config_reader *attention, const struct config_reader *root,
                                struct error *err)
{
    static const char *const switches[] = {"alibi", "qk_ln", "prefix_lm", "attn_uses_sequence_id"};
    static const char *const counts[] = {"alibi_bias_max", "expansion_ratio"};
    const json_t *scale = config_find(root, "logit_scale");
    const char *type = "multihead_attention", *kernel = "torch";
    bool value = false;

    for (size_t i = 0; i < LENGTH(switches); i++)
        FORWARD_IF_ERROR(config_bool(attention, switches[i], &value, err));
    FORWARD_IF_ERROR(config_bool(root, "no_bias", &value, err));
    for (size_t i = 0; i < LENGTH(counts); i++) {
        const struct config_reader *place = i == 0 ? attention : root;
        const json_t *count = config_value(place, counts[i]);
        RETURN_ERROR_IF(count != NULL && !json_is_integer(count), err, STATUS_INPUT,
                        "%s: %s%s: must be an integer", place->path, place->prefix, counts[i]);
    }
    FORWARD_IF_ERROR(config_string(attention, "attn_impl", &kernel, err));
    FORWARD_IF_ERROR(config_string(attention, "attn_type", &type, err));
    RETURN_ERROR_IF(strcmp(type, "multihead_attention") != 0 && strcmp(type, "multiquery_attention") != 0,
                    err, STATUS_INPUT,
                    "%s: %sattn_type: must be \"multihead_attention\" or \"multiquery_attention\"",
                    attention->path, attention->prefix);
    RETURN_ERROR_IF(scale != NULL && !json_is_real(scale) && !json_is_string(scale), err, STATUS_INPUT,
                    "%s: logit_scale: must be a number with a decimal point, or a string", root->path);
    return STATUS_OK;
}

static enum status configure_mpt(struct model_config *config, const struct config_reader *reader,
                                 struct error *err)
{
    struct config_reader attention, nullable;
    double clip = 0.0, scale = 0.0;

    FORWARD_IF_ERROR(config_object(reader, "attn_config", "attn_config.", &attention, err));
    FORWARD_IF_ERROR(check_unused(&attention, reader, err));
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
     .free_pad_token = true,
     .default_max_positions = 2048,
     .default_tie = true,
     .harmless = mpt_harmless,
     .configure = configure_mpt},
};
FAMILY_ROWS(mpt_family, rows);
