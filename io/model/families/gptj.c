#include "io/model/families/rows.h"

static const struct family_member gptj_members[] = {
    LAYER_NORM("ln_1", input_norm),
    LINEAR("attn.q_proj", q, DIMENSION_QUERY, DIMENSION_HIDDEN, SOURCE_ATTENTION, NEVER),
    LINEAR("attn.k_proj", k, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION, NEVER),
    LINEAR("attn.v_proj", v, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION, NEVER),
    LINEAR("attn.out_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT, NEVER),
    LINEAR("mlp.fc_in", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, ALWAYS),
    LINEAR("mlp.fc_out", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, ALWAYS),
};

static const struct family_member codegen_members[] = {
    LAYER_NORM("ln_1", input_norm),
    LINEAR("attn.qkv_proj", qkv, DIMENSION_QKV, DIMENSION_HIDDEN, SOURCE_ATTENTION, NEVER),
    LINEAR("attn.out_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT, NEVER),
    LINEAR("mlp.fc_in", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, ALWAYS),
    LINEAR("mlp.fc_out", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, ALWAYS),
};

// Of the code from which the models came; none has a place in the reference.
static const char *const gptj_harmless[] = {"n_ctx", "rotary", "scale_attn_weights", "tokenizer_class", NULL};

// Attention and MLP side by side behind one norm; the first rotary_dim channels rotate, in pairs of
// neighbours, over a table of positions.
static enum status configure_gptj(struct model_config *config, const struct config_reader *reader,
                                  struct error *err)
{
    struct decoder_config *decoder = &config->decoder;
    size_t rotary_dim = 64;

    FORWARD_IF_ERROR(config_optional_size(reader, "rotary_dim", &rotary_dim, err));
    RETURN_ERROR_IF(rotary_dim % 2 != 0 || rotary_dim > decoder->head_dim, err, STATUS_INPUT,
                    "%s: rotary_dim: must be even, and at most the size of a head, %zu", reader->path,
                    decoder->head_dim);
    decoder->rotary_dim = rotary_dim;
    decoder->interleaved_rotary = true;
    decoder->parallel_residual = true;
    config->rope.theta = 1e4;
    config->rope.factor = config->rope.attention_factor = 1.0;
    config->bounded_positions = true;
    return STATUS_OK;
}

// CodeGen was trained in four shards, which its linear still shows.
static enum status configure_codegen(struct model_config *config, const struct config_reader *reader,
                                     struct error *err)
{
    struct decoder_config *decoder = &config->decoder;

    FORWARD_IF_ERROR(configure_gptj(config, reader, err));
    decoder->qkv_layout = QKV_GROUPS_VALUE_FIRST;
    decoder->qkv_groups = 4;
    RETURN_ERROR_IF(decoder->num_attention_heads % decoder->qkv_groups != 0, err, STATUS_INPUT,
                    "%s: n_head: %zu is not a multiple of 4", reader->path, decoder->num_attention_heads);
    return STATUS_OK;
}

static const struct family rows[] = {
    {.model_type = "gptj",
     GPT2_NAMES,
     .lm_head_bias = true,
     MEMBERS(gptj_members),
     ACTIVATION("activation_function", "gelu_new"),
     NORMS(NORM_LAYER, "layer_norm_epsilon", 1e-5),
     .multi_head = true,
     .free_pad_token = true,
     .default_max_positions = 2048,
     .harmless = gptj_harmless,
     .configure = configure_gptj},
    {.model_type = "codegen",
     GPT2_NAMES,
     .lm_head_bias = true,
     MEMBERS(codegen_members),
     ACTIVATION("activation_function", "gelu_new"),
     NORMS(NORM_LAYER, "layer_norm_epsilon", 1e-5),
     .multi_head = true,
     .free_pad_token = true,
     .default_max_positions = 2048,
     .harmless = gptj_harmless,
     .refused = "numbers of heads that four does not divide",
     .configure = configure_codegen},
};
FAMILY_ROWS(gptj_family, rows);
