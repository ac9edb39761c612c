#include "io/model/family.h"

#include "io/model/family_config.h"

#include <stdio.h>
#include <string.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

// Rows: what it is, in which layers, its name, its place in struct decoder_layer, its shape, its input, its
// bias.
#define NORM_ROW(text, field, size, has_bias)                                                \
    {                                                                                        \
        .kind = MEMBER_NORM, .part = EVERY_LAYER, .name = (text),                            \
        .member = offsetof(struct decoder_layer, field), .out = (size), .in = DIMENSION_ONE, \
        .bias = (has_bias)                                                                   \
    }
#define ROW(what, where, text, field, rows, columns, input, has_bias)                                     \
    {                                                                                                     \
        .kind = (what), .part = (where), .name = (text), .member = offsetof(struct decoder_layer, field), \
        .out = (rows), .in = (columns), .source = (input), .bias = (has_bias)                             \
    }
#define NORM(text, field) NORM_ROW(text, field, DIMENSION_HIDDEN, NEVER)
#define LAYER_NORM(text, field) NORM_ROW(text, field, DIMENSION_HIDDEN, ALWAYS)
#define HEAD_NORM(text, field) NORM_ROW(text, field, DIMENSION_HEAD, NEVER)
#define LINEAR(text, field, rows, columns, input, has_bias) \
    ROW(MEMBER_LINEAR, EVERY_LAYER, text, field, rows, columns, input, has_bias)

// The blocks that most families share.
#define SEPARATE_QKV(qkv_bias, o_bias)                                                                    \
    LINEAR("self_attn.q_proj", q, DIMENSION_QUERY, DIMENSION_HIDDEN, SOURCE_ATTENTION, qkv_bias),         \
        LINEAR("self_attn.k_proj", k, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION, qkv_bias), \
        LINEAR("self_attn.v_proj", v, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION, qkv_bias), \
        LINEAR("self_attn.o_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT, o_bias)
#define GATED_MLP(where, path, width, bias)                                                        \
    ROW(MEMBER_LINEAR, where, path ".gate_proj", gate, width, DIMENSION_HIDDEN, SOURCE_MLP, bias), \
        ROW(MEMBER_LINEAR, where, path ".up_proj", up, width, DIMENSION_HIDDEN, SOURCE_MLP, bias), \
        ROW(MEMBER_LINEAR, where, path ".down_proj", down, DIMENSION_HIDDEN, width, SOURCE_MLP_DOWN, bias)
#define ROUTER(text, field, rows) \
    ROW(MEMBER_ROUTER, SPARSE_LAYER, text, field, rows, DIMENSION_HIDDEN, 0, NEVER)
#define EXPERTS(gate_name, up_name, down_name)                                                              \
    ROW(MEMBER_LINEAR, EXPERT, gate_name, expert_gate, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0,  \
        NEVER),                                                                                             \
        ROW(MEMBER_LINEAR, EXPERT, up_name, expert_up, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0,  \
            NEVER),                                                                                         \
        ROW(MEMBER_LINEAR, EXPERT, down_name, expert_down, DIMENSION_HIDDEN, DIMENSION_EXPERT_INTERMEDIATE, \
            1, NEVER)

static const struct family_member llama_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, WITH_MLP_BIAS),
};

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

static const struct family_member phi3_members[] = {
    NORM("input_layernorm", input_norm),
    LINEAR("self_attn.qkv_proj", qkv, DIMENSION_QKV, DIMENSION_HIDDEN, SOURCE_ATTENTION, NEVER),
    LINEAR("self_attn.o_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    LINEAR("mlp.gate_up_proj", gate_up, DIMENSION_GATE_UP, DIMENSION_HIDDEN, SOURCE_MLP, NEVER),
    LINEAR("mlp.down_proj", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, NEVER),
};

static const struct family_member gemma2_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    NORM("post_attention_layernorm", attention_output_norm),
    NORM("pre_feedforward_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    NORM("post_feedforward_layernorm", output_norm),
};

static const struct family_member gemma3_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.q_norm", query_norm),
    HEAD_NORM("self_attn.k_norm", key_norm),
    NORM("post_attention_layernorm", attention_output_norm),
    NORM("pre_feedforward_layernorm", post_attention_norm),
    GATED_MLP(EVERY_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    NORM("post_feedforward_layernorm", output_norm),
};

static const struct family_member gpt_neox_members[] = {
    LAYER_NORM("input_layernorm", input_norm),
    LINEAR("attention.query_key_value", qkv, DIMENSION_QKV, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("attention.dense", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT,
           WITH_ATTENTION_BIAS),
    LAYER_NORM("post_attention_layernorm", post_attention_norm),
    LINEAR("mlp.dense_h_to_4h", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, ALWAYS),
    LINEAR("mlp.dense_4h_to_h", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, ALWAYS),
};

static const struct family_member opt_members[] = {
    LAYER_NORM("self_attn_layer_norm", input_norm),
    LINEAR("self_attn.q_proj", q, DIMENSION_QUERY, DIMENSION_HIDDEN, SOURCE_ATTENTION, WITH_ATTENTION_BIAS),
    LINEAR("self_attn.k_proj", k, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("self_attn.v_proj", v, DIMENSION_KEY_VALUE, DIMENSION_HIDDEN, SOURCE_ATTENTION,
           WITH_ATTENTION_BIAS),
    LINEAR("self_attn.out_proj", o, DIMENSION_HIDDEN, DIMENSION_QUERY, SOURCE_ATTENTION_OUTPUT,
           WITH_ATTENTION_BIAS),
    LAYER_NORM("final_layer_norm", post_attention_norm),
    LINEAR("fc1", up, DIMENSION_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, WITH_MLP_BIAS),
    LINEAR("fc2", down, DIMENSION_HIDDEN, DIMENSION_INTERMEDIATE, SOURCE_MLP_DOWN, WITH_MLP_BIAS),
};

static const struct family_member mixtral_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(NEVER, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    ROUTER("block_sparse_moe.gate", router, DIMENSION_EXPERTS),
    EXPERTS("w1", "w3", "w2"),
};

static const struct family_member qwen2_moe_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_QKV_BIAS, NEVER),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(DENSE_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    ROUTER("mlp.gate", router, DIMENSION_EXPERTS),
    GATED_MLP(SPARSE_LAYER, "mlp.shared_expert", DIMENSION_SHARED_INTERMEDIATE, NEVER),
    ROUTER("mlp.shared_expert_gate", shared_expert_gate, DIMENSION_ONE),
    EXPERTS("gate_proj", "up_proj", "down_proj"),
};

static const struct family_member qwen3_moe_members[] = {
    NORM("input_layernorm", input_norm),
    SEPARATE_QKV(WITH_ATTENTION_BIAS, WITH_ATTENTION_BIAS),
    HEAD_NORM("self_attn.q_norm", query_norm),
    HEAD_NORM("self_attn.k_norm", key_norm),
    NORM("post_attention_layernorm", post_attention_norm),
    GATED_MLP(DENSE_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),
    ROUTER("mlp.gate", router, DIMENSION_EXPERTS),
    EXPERTS("gate_proj", "up_proj", "down_proj"),
};

#define MEMBERS(array) .members = (array), .num_members = LENGTH(array)
// Names and keys that most families took over from LLaMA.
#define LLAMA_NAMES                                                                            \
    .prefix = "model.", .embedding = "embed_tokens", .layers = "layers", .final_norm = "norm", \
    .lm_head = "lm_head", .intermediate_key = "intermediate_size"
#define NORMS(which, key, epsilon) .norm = (which), .epsilon_key = (key), .default_epsilon = (epsilon)
#define RMS(epsilon) NORMS(NORM_RMS, "rms_norm_eps", epsilon)
#define ROPE(key, theta) .theta_key = (key), .default_theta = (theta)
#define ACTIVATION(key, name) .activation_key = (key), .default_activation = (name)
#define SILU ACTIVATION("hidden_act", "silu")
#define GELU_TANH ACTIVATION("hidden_activation", "gelu_pytorch_tanh")

static const struct family families[] = {
    {.model_type = "llama",
     LLAMA_NAMES,
     MEMBERS(llama_members),
     .can_add_attention_bias = true,
     .can_add_mlp_bias = true,
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_max_positions = 2048},
    {.model_type = "mistral",
     LLAMA_NAMES,
     MEMBERS(llama_members),
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
     .default_key_value_heads = 8,
     .default_max_positions = 131072,
     .configure = configure_mistral},
    {.model_type = "qwen2",
     LLAMA_NAMES,
     MEMBERS(qwen2_members),
     SILU,
     RMS(1e-6),
     ROPE("rope_theta", 1e4),
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
     .default_key_value_heads = 32,
     .default_head_dim = 128,
     .default_max_positions = 32768,
     .configure = configure_qwen2},
    {.model_type = "phi3",
     LLAMA_NAMES,
     MEMBERS(phi3_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e4),
     .rotary_fraction_key = "partial_rotary_factor",
     .default_rotary_fraction = 1.0,
     .default_max_positions = 4096,
     .default_original_positions = 4096,
     .configure = configure_phi3},
    {.model_type = "gemma2",
     .special_tokens_in_tasks = true,
     LLAMA_NAMES,
     MEMBERS(gemma2_members),
     .can_add_attention_bias = true,
     GELU_TANH,
     NORMS(NORM_RMS_ONE_PLUS, "rms_norm_eps", 1e-6),
     ROPE("rope_theta", 1e4),
     .default_key_value_heads = 4,
     .default_head_dim = 256,
     .default_max_positions = 8192,
     .default_tie = true,
     .configure = configure_gemma2},
    {.model_type = "gemma3_text",
     .special_tokens_in_tasks = true,
     LLAMA_NAMES,
     MEMBERS(gemma3_members),
     .can_add_attention_bias = true,
     GELU_TANH,
     NORMS(NORM_RMS_ONE_PLUS, "rms_norm_eps", 1e-6),
     ROPE(NULL, 1e6),
     .default_key_value_heads = 4,
     .default_head_dim = 256,
     .default_max_positions = 131072,
     .default_tie = true,
     .configure = configure_gemma3},
    {.model_type = "gpt_neox",
     .prefix = "gpt_neox.",
     .embedding = "embed_in",
     .layers = "layers",
     .final_norm = "final_layer_norm",
     .lm_head = "embed_out",
     .lm_head_elsewhere = "lm_head",
     .intermediate_key = "intermediate_size",
     MEMBERS(gpt_neox_members),
     ACTIVATION("hidden_act", "gelu"),
     NORMS(NORM_LAYER, "layer_norm_eps", 1e-5),
     ROPE("rotary_emb_base", 1e4),
     .rotary_fraction_key = "rotary_pct",
     .multi_head = true,
     .default_rotary_fraction = 0.25,
     .default_max_positions = 2048,
     .default_attention_bias = true,
     .configure = configure_gpt_neox},
    {.model_type = "opt",
     .prefix = "model.",
     .embedding = "decoder.embed_tokens",
     .positions = "decoder.embed_positions",
     .layers = "decoder.layers",
     .final_norm = "decoder.final_layer_norm",
     .lm_head = "lm_head",
     .intermediate_key = "ffn_dim",
     MEMBERS(opt_members),
     ACTIVATION("activation_function", "relu"),
     NORMS(NORM_LAYER, NULL, 1e-5),
     ROPE(NULL, 0.0),
     .multi_head = true,
     .default_max_positions = 2048,
     .default_tie = true,
     .configure = configure_opt},
    {.model_type = "mixtral",
     LLAMA_NAMES,
     .experts = "block_sparse_moe.experts",
     MEMBERS(mixtral_members),
     SILU,
     RMS(1e-5),
     ROPE("rope_theta", 1e6),
     .default_key_value_heads = 8,
     .default_max_positions = 131072,
     .configure = configure_mixtral},
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
     .default_key_value_heads = 4,
     .default_max_positions = 32768,
     .configure = configure_qwen3_moe},
};

const struct family *family_find(const char *model_type)
{
    for (size_t i = 0; i < LENGTH(families); i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return NULL;
}

const char *family_list(char *text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < LENGTH(families) && used < size; i++) {
        const int length =
            snprintf(text + used, size - used, "%s%s", i == 0 ? "" : ", ", families[i].model_type);
        used += length > 0 ? (size_t)length : 0;
    }
    return text;
}

size_t family_dimension(enum dimension dimension, const struct model_config *config)
{
    const struct decoder_config *decoder = &config->decoder;

    switch (dimension) {
    case DIMENSION_HIDDEN:
        return decoder->hidden_size;
    case DIMENSION_QUERY:
        return decoder->num_attention_heads * decoder->head_dim;
    case DIMENSION_KEY_VALUE:
        return decoder->num_key_value_heads * decoder->head_dim;
    case DIMENSION_QKV:
        return (decoder->num_attention_heads + 2 * decoder->num_key_value_heads) * decoder->head_dim;
    case DIMENSION_HEAD:
        return decoder->head_dim;
    case DIMENSION_INTERMEDIATE:
        return decoder->intermediate_size;
    case DIMENSION_GATE_UP:
        return 2 * decoder->intermediate_size;
    case DIMENSION_EXPERTS:
        return decoder->num_experts;
    case DIMENSION_EXPERT_INTERMEDIATE:
        return decoder->moe_intermediate_size;
    case DIMENSION_SHARED_INTERMEDIATE:
        return decoder->shared_expert_intermediate_size;
    case DIMENSION_ONE:
        break;
    }
    return 1;
}

bool family_presence(enum presence presence, const struct model_config *config)
{
    switch (presence) {
    case ALWAYS:
        return true;
    case WITH_ATTENTION_BIAS:
        return config->attention_bias;
    case WITH_QKV_BIAS:
        return config->qkv_bias;
    case WITH_MLP_BIAS:
        return config->mlp_bias;
    case NEVER:
        break;
    }
    return false;
}
