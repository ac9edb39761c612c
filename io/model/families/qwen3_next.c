// Qwen3-Next and what descends from it: most layers have linear attention by the gated delta rule, some have
// softmax attention with gated heads.
#include "io/model/families/experts.h"
#include "io/model/families/rows.h"
#include "io/model/families/sparse_layers.h"

#include <string.h>

#define SOFTMAX_LINEAR(text, field, rows, columns, input, has_bias) \
    ROW(MEMBER_LINEAR, SOFTMAX_ATTENTION_LAYER, text, field, rows, columns, input, has_bias)
#define SOFTMAX_HEAD_NORM(text, field) \
    ROW(MEMBER_NORM, SOFTMAX_ATTENTION_LAYER, text, field, DIMENSION_HEAD, DIMENSION_ONE, 0, NEVER)
#define LINEAR_ROW(what, text, field, rows, columns, input)                                              \
    ROW(what, LINEAR_ATTENTION_LAYER, "linear_attn." text, linear_attention.field, rows, columns, input, \
        NEVER)
#define PROJECTION(text, field, rows) \
    LINEAR_ROW(MEMBER_LINEAR, text, field, rows, DIMENSION_HIDDEN, SOURCE_ATTENTION)

#define GATED_SOFTMAX_ATTENTION                                                                           \
    SOFTMAX_LINEAR("self_attn.q_proj", q, DIMENSION_QUERY_GATE, DIMENSION_HIDDEN, SOURCE_ATTENTION,       \
                   WITH_ATTENTION_BIAS),                                                                  \
        SOFTMAX_LINEAR("self_attn.k_proj", k, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,    \
                       WITH_ATTENTION_BIAS),                                                              \
        SOFTMAX_LINEAR("self_attn.v_proj", v, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,    \
                       WITH_ATTENTION_BIAS),                                                              \
        SOFTMAX_LINEAR("self_attn.o_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT, \
                       WITH_ATTENTION_BIAS),                                                              \
        SOFTMAX_HEAD_NORM("self_attn.q_norm", query_norm), SOFTMAX_HEAD_NORM("self_attn.k_norm", key_norm)
// What the rule reads beside the projections, and what leads out.
#define DELTA_RULE                                                                                         \
    LINEAR_ROW(MEMBER_CONVOLUTION, "conv1d", convolution, DIMENSION_LINEAR_QKV, DIMENSION_LINEAR_TAPS, 0), \
        LINEAR_ROW(MEMBER_VECTOR, "A_log", a_log, DIMENSION_LINEAR_HEADS, DIMENSION_ONE, 0),               \
        LINEAR_ROW(MEMBER_VECTOR, "dt_bias", dt_bias, DIMENSION_LINEAR_HEADS, DIMENSION_ONE, 0),           \
        LINEAR_ROW(MEMBER_NORM, "norm", norm, DIMENSION_LINEAR_HEAD, DIMENSION_ONE, 0),                    \
        LINEAR_ROW(MEMBER_LINEAR, "out_proj", out, DIMENSION_HIDDEN, DIMENSION_LINEAR_VALUE,               \
                   SOURCE_ATTENTION_OUTPUT)
#define SPLIT_PROJECTIONS                                   \
    PROJECTION("in_proj_qkv", qkv, DIMENSION_LINEAR_QKV),   \
        PROJECTION("in_proj_z", z, DIMENSION_LINEAR_VALUE), \
        PROJECTION("in_proj_b", b, DIMENSION_LINEAR_HEADS), \
        PROJECTION("in_proj_a", a, DIMENSION_LINEAR_HEADS)
#define SHARED_EXPERT_AND_ROUTER                                                            \
    ROUTER("mlp.gate", router, DIMENSION_EXPERTS),                                          \
        GATED_MLP(SPARSE_LAYER, "mlp.shared_expert", DIMENSION_SHARED_INTERMEDIATE, NEVER), \
        ROUTER("mlp.shared_expert_gate", shared_expert_gate, DIMENSION_ONE)

static const struct family_member qwen3_next_members[] = {
    NORM("input_layernorm", input_norm),
    GATED_SOFTMAX_ATTENTION,
    PROJECTION("in_proj_qkvz", qkvz, DIMENSION_LINEAR_QKVZ),
    PROJECTION("in_proj_ba", ba, DIMENSION_LINEAR_BA),
    DELTA_RULE,
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(DENSE_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    SHARED_EXPERT_AND_ROUTER,
    FUSED_OR_SEPARATE_EXPERTS(false),
};

static const struct family_member qwen3_5_members[] = {
    NORM("input_layernorm", input_norm),
    GATED_SOFTMAX_ATTENTION,
    SPLIT_PROJECTIONS,
    DELTA_RULE,
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
};

static const struct family_member qwen3_5_moe_members[] = {
    NORM("input_layernorm", input_norm),
    GATED_SOFTMAX_ATTENTION,
    SPLIT_PROJECTIONS,
    DELTA_RULE,
    NORM("post_attention_layernorm", post_attention_norm),
    SHARED_EXPERT_AND_ROUTER,
    FUSED_OR_SEPARATE_EXPERTS(false),
};

// `layer_types`, or every full_attention_interval-th layer has softmax attention.
static enum status read_attention_kinds(struct model_config *config, const struct config_reader *reader,
                                        struct error *err)
{
    const json_t *types = config_find(reader, "layer_types");
    size_t interval = 4;

    if (types == NULL)
        FORWARD_IF_ERROR(config_optional_size(reader, "full_attention_interval", &interval, err));
    RETURN_ERROR_IF(types != NULL &&
                        (!json_is_array(types) || json_array_size(types) != config->num_hidden_layers),
                    err, STATUS_INPUT, "%s: layer_types: must be a list of %zu strings, one for each layer",
                    reader->path, config->num_hidden_layers);
    for (size_t i = 0; i < config->num_hidden_layers; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        bool *linear = &config->layers[i].linear_attention;
        *linear =
            types == NULL ? (i + 1) % interval != 0 : type != NULL && strcmp(type, "linear_attention") == 0;
        RETURN_ERROR_IF(types != NULL && !*linear && (type == NULL || strcmp(type, "full_attention") != 0),
                        err, STATUS_INPUT,
                        "%s: layer_types: element %zu must be \"full_attention\" or \"linear_attention\"",
                        reader->path, i);
    }
    return STATUS_OK;
}

static enum status read_linear_attention(struct decoder_config *decoder, const struct config_reader *reader,
                                         struct error *err)
{
    struct linear_attention_config *linear = &decoder->linear_attention;

    *linear = (struct linear_attention_config){.num_key_heads = 16,
                                               .num_value_heads = 32,
                                               .key_head_dim = 128,
                                               .value_head_dim = 128,
                                               .taps = 4,
                                               .activation = decoder->activation,
                                               .norm_epsilon = decoder->norm_epsilon};
    FORWARD_IF_ERROR(config_optional_size(reader, "linear_num_key_heads", &linear->num_key_heads, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "linear_num_value_heads", &linear->num_value_heads, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "linear_key_head_dim", &linear->key_head_dim, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "linear_value_head_dim", &linear->value_head_dim, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "linear_conv_kernel_dim", &linear->taps, err));
    RETURN_ERROR_IF(linear->num_value_heads % linear->num_key_heads != 0, err, STATUS_INPUT,
                    "%s: linear_num_value_heads: %zu is not a multiple of linear_num_key_heads %zu",
                    reader->path, linear->num_value_heads, linear->num_key_heads);
    return STATUS_OK;
}

static enum status configure_qwen3_5(struct model_config *config, const struct config_reader *reader,
                                     struct error *err)
{
    config->decoder.gated_attention = true;
    FORWARD_IF_ERROR(config_not_null(reader, "num_key_value_heads", err));
    FORWARD_IF_ERROR(config_not_null(reader, "head_dim", err));
    FORWARD_IF_ERROR(read_attention_kinds(config, reader, err));
    return read_linear_attention(&config->decoder, reader, err);
}

static enum status read_moe(struct decoder_config *decoder, const struct config_reader *reader,
                            size_t experts, size_t per_token, struct error *err)
{
    decoder->moe_intermediate_size = decoder->shared_expert_intermediate_size = 512;
    decoder->routing.normalise = true;
    FORWARD_IF_ERROR(
        config_optional_size(reader, "moe_intermediate_size", &decoder->moe_intermediate_size, err));
    FORWARD_IF_ERROR(config_optional_size(reader, "shared_expert_intermediate_size",
                                          &decoder->shared_expert_intermediate_size, err));
    return read_experts(decoder, reader, experts, per_token, err);
}

static enum status configure_qwen3_5_moe(struct model_config *config, const struct config_reader *reader,
                                         struct error *err)
{
    for (size_t i = 0; i < config->num_hidden_layers; i++)
        config->layers[i].sparse = true;
    FORWARD_IF_ERROR(read_moe(&config->decoder, reader, 256, 8, err));
    return configure_qwen3_5(config, reader, err);
}

static enum status configure_qwen3_next(struct model_config *config, const struct config_reader *reader,
                                        struct error *err)
{
    FORWARD_IF_ERROR(read_moe(&config->decoder, reader, 512, 10, err));
    FORWARD_IF_ERROR(config_bool(reader, "norm_topk_prob", &config->decoder.routing.normalise, err));
    FORWARD_IF_ERROR(read_sparse_layers(config, reader, err));
    return configure_qwen3_5(config, reader, err);
}

// The reference computes the same whatever they say. The sections of mrope are for positions in images; those
// of a text are the same in all of them. full_attention_interval counts in the absence of layer_types alone.
static const char *const qwen3_next_harmless[] = {
    "mrope_section",           "mrope_interleaved", "mtp_*", "attn_output_gate",
    "full_attention_interval", "mamba_ssm_dtype",   NULL};

// What the three have in common.
#define QWEN3_NEXT                                                                             \
    .prefix = "model.", .embedding = "embed_tokens", .layers = "layers", .final_norm = "norm", \
    .lm_head = "lm_head", .can_add_attention_bias = true, SILU,                                \
    NORMS(NORM_RMS_ONE_PLUS, "rms_norm_eps", 1e-6), ROPE("rope_theta", 1e4),                   \
    .rotary_fraction_key = "partial_rotary_factor", .default_rotary_fraction = 0.25,           \
    .null_rotary_fraction = true, .default_head_dim = 256, .default_max_positions = 32768,     \
    .harmless = qwen3_next_harmless

// A text model that was opened from a checkpoint of text and images keeps its names when transformers 5 saves
// it.
#define QWEN3_5 .other_prefix = "model.language_model."

static const struct family rows[] = {
    {.model_type = "qwen3_next",
     QWEN3_NEXT,
     .experts = "mlp.experts",
     MEMBERS(qwen3_next_members),
     .intermediate_key = "intermediate_size",
     .default_key_value_heads = 2,
     .configure = configure_qwen3_next},
    {.model_type = "qwen3_5_text",
     QWEN3_NEXT,
     QWEN3_5,
     MEMBERS(qwen3_5_members),
     SIZES(248320, 4096, 12288, 32, 16),
     .intermediate_key = "intermediate_size",
     .default_key_value_heads = 4,
     .configure = configure_qwen3_5},
    {.model_type = "qwen3_5_moe_text",
     QWEN3_NEXT,
     QWEN3_5,
     .experts = "mlp.experts",
     MEMBERS(qwen3_5_moe_members),
     SIZES(248320, 2048, 0, 40, 16),
     .default_key_value_heads = 2,
     .configure = configure_qwen3_5_moe},
};
FAMILY_ROWS(qwen3_next_family, rows);
