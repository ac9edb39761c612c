#include "io/model/families/experts.h"
#include "io/model/families/rows.h"
#include "io/model/families/sparse_layers.h"
#include "io/model/families/windows.h"

#include <math.h>

static const struct family_member qwen2_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(ALWAYS, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
};

static const struct family_member qwen3_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.q_norm", query_norm),
    HEAD_NORM("self_attn.k_norm", key_norm),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
};

static const struct family_member qwen2_moe_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_QKV_BIAS, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(DENSE_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    ROUTER("mlp.gate", router, DIMENSION_EXPERTS),
    GATED_MLP(SPARSE_LAYER, "mlp.shared_expert", DIMENSION_SHARED_INTERMEDIATE, NEVER),
    ROUTER("mlp.shared_expert_gate", shared_expert_gate, DIMENSION_ONE),
    FUSED_OR_SEPARATE_EXPERTS(true),
};

static const struct family_member qwen3_moe_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.q_norm", query_norm),
    HEAD_NORM("self_attn.k_norm", key_norm),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(DENSE_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    ROUTER("mlp.gate", router, DIMENSION_EXPERTS),
    FUSED_OR_SEPARATE_EXPERTS(true),
};

// Its experts are stacked: transposed in the published checkpoints, the other way round as the reference
// saves them.
#define STACKED(text, field, rows, columns, input, tensor, count, which)                                    \
    {                                                                                                       \
        .kind = MEMBER_LINEAR, .part = EXPERT, .name = (text),                                              \
        .member = offsetof(struct decoder_layer, field), .out = (rows), .in = (columns), .source = (input), \
        .bias = NEVER, .storage = {                                                                         \
            .weight = (tensor),                                                                             \
            .either_way = true,                                                                             \
            .parts = (count),                                                                               \
            .part = (which)                                                                                 \
        }                                                                                                   \
    }
static const struct family_member qwen3_vl_moe_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.q_norm", query_norm),
    HEAD_NORM("self_attn.k_norm", key_norm),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(DENSE_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    ROUTER("mlp.gate", router, DIMENSION_EXPERTS),
    STACKED("gate_proj", expert_gate, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0,
            "mlp.experts.gate_up_proj", 2, 0),
    STACKED("up_proj", expert_up, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0,
            "mlp.experts.gate_up_proj", 2, 1),
    STACKED("down_proj", expert_down, DIMENSION_HIDDEN, DIMENSION_EXPERT_INTERMEDIATE, 1,
            "mlp.experts.down_proj", 1, 0),
};

// *layers is the default.
static enum status read_max_window_layers(size_t *layers, const struct config_reader *reader,
                                          struct error *err)
{
    double number = (double)*layers;

    FORWARD_IF_ERROR(config_number(reader, "max_window_layers", -1e9, 1e9, &number, err));
    *layers = (size_t)fmax(number, 0.0);
    return STATUS_OK;
}

// The layers from max_window_layers on are local.
static enum status read_last_windows(struct model_config *config, const struct config_reader *reader,
                                     size_t max_window_layers, struct error *err)
{
    struct window window;
    bool found, use;

    FORWARD_IF_ERROR(read_switched_window(&window, &use, reader, err));
    FORWARD_IF_ERROR(read_max_window_layers(&max_window_layers, reader, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    for (size_t i = max_window_layers; i < config->num_hidden_layers && !found && !window.is_null; i++)
        FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
    return STATUS_OK;
}

// Qwen2 and Qwen3.
static enum status configure_qwen2(struct model_config *config, const struct config_reader *reader,
                                   struct error *err)
{
    return read_last_windows(config, reader, 28, err);
}

static enum status configure_qwen2_vl(struct model_config *config, const struct config_reader *reader,
                                      struct error *err)
{
    return read_last_windows(config, reader, 80, err);
}

static enum status configure_qwen_moe(struct model_config *config, const struct config_reader *reader,
                                      size_t experts, size_t per_token, size_t intermediate,
                                      struct error *err)
{
    FORWARD_IF_ERROR(read_experts(&config->decoder, reader, experts, per_token, err));
    config->decoder.moe_intermediate_size = intermediate;
    FORWARD_IF_ERROR(
        config_optional_size(reader, "moe_intermediate_size", &config->decoder.moe_intermediate_size, err));
    FORWARD_IF_ERROR(config_bool(reader, "norm_topk_prob", &config->decoder.routing.normalise, err));
    return read_sparse_layers(config, reader, err);
}

static enum status configure_qwen2_moe(struct model_config *config, const struct config_reader *reader,
                                       struct error *err)
{
    struct window window;
    size_t max_window_layers = 28;
    bool found, use;

    config->qkv_bias = true;
    FORWARD_IF_ERROR(config_bool(reader, "qkv_bias", &config->qkv_bias, err));
    config->decoder.shared_expert_intermediate_size = 5632;
    FORWARD_IF_ERROR(config_optional_size(reader, "shared_expert_intermediate_size",
                                          &config->decoder.shared_expert_intermediate_size, err));
    FORWARD_IF_ERROR(read_switched_window(&window, &use, reader, err));
    FORWARD_IF_ERROR(read_max_window_layers(&max_window_layers, reader, err));
    FORWARD_IF_ERROR(read_layer_types(config, reader, &window, &found, err));
    for (size_t i = 0; i < config->num_hidden_layers && !found && use; i++)
        if (i % 2 == 0 && i < max_window_layers) // every other one of the first layers
            FORWARD_IF_ERROR(set_window(config, i, &window, reader, err));
    return configure_qwen_moe(config, reader, 60, 4, 1408, err);
}

static enum status configure_qwen3_moe(struct model_config *config, const struct config_reader *reader,
                                       struct error *err)
{
    struct window window;
    bool use;

    FORWARD_IF_ERROR(read_switched_window(&window, &use, reader, err));
    FORWARD_IF_ERROR(set_windows(config, &window, reader, err));
    return configure_qwen_moe(config, reader, 128, 8, 768, err);
}

// Windows are in all layers, or in none.
static const char *const qwen3_moe_harmless[] = {"max_window_layers", NULL};

// Without windows, and with routing weights that always have the sum 1.
static enum status configure_qwen3_vl_moe(struct model_config *config, const struct config_reader *reader,
                                          struct error *err)
{
    config_pass(reader, "sliding_window");
    FORWARD_IF_ERROR(configure_qwen_moe(config, reader, 60, 4, 1408, err));
    config->decoder.routing.normalise = true;
    return STATUS_OK;
}

// The language models of Qwen2-VL and Qwen2.5-VL, whose rows differ in their names.
#define QWEN2_VL(type)                                                                                       \
    {                                                                                                        \
        .model_type = (type), LLAMA_NAMES, MEMBERS(qwen2_members), SILU, RMS(1e-5), ROPE("rope_theta", 1e6), \
        SIZES(152064, 8192, 29568, 80, 64), .mrope = true, .default_key_value_heads = 8,                     \
        .default_max_positions = 32768, .configure = configure_qwen2_vl                                      \
    }

static const struct family rows[] = {
    QWEN2_VL("qwen2_vl_text"),
    QWEN2_VL("qwen2_5_vl_text"),
    {.model_type = "qwen3_vl_moe_text",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(qwen3_vl_moe_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 5e5),
     SIZES(151936, 2048, 5632, 24, 16),
     .mrope = true,
     .default_key_value_heads = 16,
     .default_max_positions = 128000,
     .configure = configure_qwen3_vl_moe},
    {.model_type = "qwen3_vl_text",
     LLAMA_NAMES,
     MEMBERS(qwen3_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 5e5),
     SIZES(151936, 4096, 22016, 32, 32),
     .mrope = true,
     .default_key_value_heads = 32,
     .default_head_dim = 128,
     .default_max_positions = 128000},
    {.model_type = "qwen2",
     LLAMA_NAMES,
     MEMBERS(qwen2_members),
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     SIZES(151936, 4096, 22016, 32, 32),
     .default_key_value_heads = 32,
     .default_max_positions = 32768,
     .configure = configure_qwen2},
    {.model_type = "qwen3",
     LLAMA_NAMES,
     MEMBERS(qwen3_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     SIZES(151936, 4096, 22016, 32, 32),
     .default_key_value_heads = 32,
     .default_head_dim = 128,
     .default_max_positions = 32768,
     .configure = configure_qwen2},
    {.model_type = "qwen2_moe",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(qwen2_moe_members),
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_key_value_heads = 16,
     .default_max_positions = 32768,
     .configure = configure_qwen2_moe},
    {.model_type = "qwen3_moe",
     LLAMA_NAMES,
     .experts = "mlp.experts",
     MEMBERS(qwen3_moe_members),
     .can_add_attention_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .harmless = qwen3_moe_harmless,
     .default_key_value_heads = 4,
     .default_max_positions = 32768,
     .configure = configure_qwen3_moe},
};
FAMILY_ROWS(qwen_family, rows);
