#include "io/model/families/rows.h"

// GPT-2 stores its weights [in, out].
#define TRANSPOSED(text, field, rows, columns, input)                                                       \
    {                                                                                                       \
        .kind = MEMBER_LINEAR, .part = EVERY_LAYER, .name = (text),                                         \
        .member = offsetof(struct decoder_layer, field), .out = (rows), .in = (columns), .source = (input), \
        .bias = ALWAYS, .storage = {                                                                        \
            .weight = text ".weight",                                                                       \
            .bias = text ".bias",                                                                           \
            .transposed = true                                                                              \
        }                                                                                                   \
    }

static const struct family_member gpt2_members[] = {
    LAYER_NORM("ln_1", input_norm),
    TRANSPOSED("attn.c_attn", qkv, DIMENSION_QKV, DIMENSION_HIDDEN, SOURCE_ATTENTION),
    TRANSPOSED("attn.c_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT),
    LAYER_NORM("ln_2", post_attention_norm),
    TRANSPOSED("mlp.c_fc", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP),
    TRANSPOSED("mlp.c_proj", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN),
};

static const struct family_member gpt_bigcode_members[] = {
    LAYER_NORM("ln_1", input_norm),
    LINEAR("attn.c_attn", qkv, DIMENSION_QKV, DIMENSION_HIDDEN, SOURCE_ATTENTION, ALWAYS),
    LINEAR("attn.c_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT, ALWAYS),
    LAYER_NORM("ln_2", post_attention_norm),
    LINEAR("mlp.c_fc", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, ALWAYS),
    LINEAR("mlp.c_proj", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, ALWAYS),
};

// How scores are rounded on the way, older names of sizes, and heads other than that of a language model.
static const char *const gpt2_harmless[] = {"n_ctx", "reorder_and_upcast_attn", "attention_softmax_in_fp32",
                                            "scale_attention_softmax_in_fp32", NULL};
// Of the code that came with the checkpoints.
static const char *const gpt_bigcode_harmless[] = {"n_ctx",
                                                   "attention_softmax_in_fp32",
                                                   "scale_attention_softmax_in_fp32",
                                                   "inference_runner",
                                                   "max_batch_size",
                                                   "max_sequence_length",
                                                   "pad_key_length",
                                                   "pre_allocate_kv_cache",
                                                   "validate_runner_input",
                                                   "num_key_value_heads",
                                                   NULL};

static enum status configure_scale(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    bool scaled = true, crossed = false;

    FORWARD_IF_ERROR(config_bool(reader, "add_cross_attention", &crossed, err));
    RETURN_ERROR_IF(crossed, err, STATUS_INPUT,
                    "%s: add_cross_attention: only causal language models can be pruned", reader->path);
    FORWARD_IF_ERROR(config_bool(reader, "scale_attn_weights", &scaled, err));
    if (!scaled)
        config->decoder.attention_scale = 1.0F;
    return STATUS_OK;
}

static enum status configure_gpt2(struct model_config *config, const struct config_reader *reader,
                                  struct error *err)
{
    bool by_layer = false;

    FORWARD_IF_ERROR(configure_scale(config, reader, err));
    FORWARD_IF_ERROR(config_bool(reader, "scale_attn_by_inverse_layer_idx", &by_layer, err));
    for (size_t i = 0; i < config->num_hidden_layers && by_layer; i++)
        config->layers[i].attention_scale = config->decoder.attention_scale / (float)(i + 1);
    return STATUS_OK;
}

// One key and value for all heads, or the layout of GPT-NeoX.
static enum status configure_gpt_bigcode(struct model_config *config, const struct config_reader *reader,
                                         struct error *err)
{
    bool multi_query = true;

    FORWARD_IF_ERROR(configure_scale(config, reader, err));
    FORWARD_IF_ERROR(config_bool(reader, "multi_query", &multi_query, err));
    if (multi_query)
        config->decoder.num_key_value_heads = 1;
    else
        config->decoder.qkv_layout = QKV_PER_HEAD;
    return STATUS_OK;
}

static const struct family rows[] = {
    {.model_type = "gpt2",
     GPT2_NAMES,
     .positions = "wpe",
     MEMBERS(gpt2_members),
     ACTIVATION("activation_function", "gelu_new"),
     NORMS(NORM_LAYER, "layer_norm_epsilon", 1e-5),
     .multi_head = true,
     .free_pad_token = true,
     .default_max_positions = 1024,
     .default_tie = true,
     .harmless = gpt2_harmless,
     .refused = "cross-attention",
     .configure = configure_gpt2},
    {.model_type = "gpt_bigcode",
     GPT2_NAMES,
     .positions = "wpe",
     MEMBERS(gpt_bigcode_members),
     ACTIVATION("activation_function", "gelu_pytorch_tanh"),
     NORMS(NORM_LAYER, "layer_norm_epsilon", 1e-5),
     .multi_head = true,
     .free_pad_token = true,
     .default_max_positions = 1024,
     .default_tie = true,
     .harmless = gpt_bigcode_harmless,
     .refused = "cross-attention",
     .configure = configure_gpt_bigcode},
};
FAMILY_ROWS(gpt2_family, rows);
