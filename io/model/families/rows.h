// rows.h - what the files of this folder share: how a family's rows are written, and where they are.
//
// Each file has the families that descend from one another, each with its tensors, its row and the keys of
// config.json that only it has. Keys, defaults and rules are those of Hugging Face transformers
// (configuration_*.py).
#pragma once
#include "io/model/family.h"

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

// The families of one file.
struct family_rows {
    const struct family *rows;
    size_t count;
};
#define FAMILY_ROWS(name, array) const struct family_rows name = {(array), LENGTH(array)}

extern const struct family_rows llama_family, qwen_family, phi_family, gemma_family, gpt_neox_family,
    opt_family, mixtral_family, granite_family, starcoder2_family, stablelm_family, ministral_family,
    smollm3_family, olmo_family, exaone_family, nemotron_family, hunyuan_family, glm_family,
    qwen3_next_family, gemma4_family;
extern const struct family_rows cohere_family, gpt2_family, gptj_family, bloom_family, falcon_family,
    mpt_family, llama4_family;

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
// The same with a condition on config.json.
#define CONDITIONAL(condition, what, where, text, field, rows, columns, input, has_bias)                  \
    {                                                                                                     \
        .kind = (what), .part = (where), .name = (text), .member = offsetof(struct decoder_layer, field), \
        .out = (rows), .in = (columns), .source = (input), .bias = (has_bias), .only = (condition)        \
    }
#define NORM(text, field) NORM_ROW(text, field, DIMENSION_HIDDEN, NEVER)
#define LAYER_NORM(text, field) NORM_ROW(text, field, DIMENSION_HIDDEN, ALWAYS)
#define PLAIN_NORM(field)                                                                               \
    {                                                                                                   \
        .kind = MEMBER_PLAIN_NORM, .part = EVERY_LAYER, .member = offsetof(struct decoder_layer, field) \
    }
#define VECTOR(text, field, size)                                                           \
    {                                                                                       \
        .kind = MEMBER_VECTOR, .part = EVERY_LAYER, .name = (text),                         \
        .member = offsetof(struct decoder_layer, field), .out = (size), .in = DIMENSION_ONE \
    }
#define HEAD_NORM(text, field) NORM_ROW(text, field, DIMENSION_HEAD, NEVER)
// A norm that config.json may leave out; norms with a weight for every head, in one tensor or in one for
// each.
#define OPTIONAL_NORM(text, field, size, has_bias, condition)                                \
    {                                                                                        \
        .kind = MEMBER_NORM, .part = EVERY_LAYER, .name = (text),                            \
        .member = offsetof(struct decoder_layer, field), .out = (size), .in = DIMENSION_ONE, \
        .bias = (has_bias), .only = (condition)                                              \
    }
#define HEADS_NORM(text, field, heads, condition)                                              \
    {                                                                                          \
        .kind = MEMBER_NORM, .part = EVERY_LAYER, .name = (text),                              \
        .member = offsetof(struct decoder_layer, field), .out = (heads), .in = DIMENSION_HEAD, \
        .only = (condition)                                                                    \
    }
#define OWN_HEAD_NORM(text, field, where, condition)                                                 \
    {                                                                                                \
        .kind = MEMBER_NORM, .part = (where), .name = (text),                                        \
        .member = offsetof(struct decoder_layer, field), .out = DIMENSION_HEAD, .in = DIMENSION_ONE, \
        .only = (condition)                                                                          \
    }
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
// A shared expert that not every model of the family has.
#define OPTIONAL_SHARED_EXPERT(path, bias)                                                    \
    CONDITIONAL(WITH_SHARED_EXPERT, MEMBER_LINEAR, SPARSE_LAYER, path ".gate_proj", gate,     \
                DIMENSION_SHARED_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, bias),           \
        CONDITIONAL(WITH_SHARED_EXPERT, MEMBER_LINEAR, SPARSE_LAYER, path ".up_proj", up,     \
                    DIMENSION_SHARED_INTERMEDIATE, DIMENSION_HIDDEN, SOURCE_MLP, bias),       \
        CONDITIONAL(WITH_SHARED_EXPERT, MEMBER_LINEAR, SPARSE_LAYER, path ".down_proj", down, \
                    DIMENSION_HIDDEN, DIMENSION_SHARED_INTERMEDIATE, SOURCE_MLP_DOWN, bias)
#define ROUTER(text, field, rows) \
    ROW(MEMBER_ROUTER, SPARSE_LAYER, text, field, rows, DIMENSION_HIDDEN, 0, NEVER)
#define ROUTER_CORRECTION(text, rows, columns) \
    ROW(MEMBER_VECTOR, SPARSE_LAYER, text, router_correction, rows, columns, 0, NEVER)
// A linear of the experts that lies in a tensor of all of them; the rest of the arguments are member_storage.
#define STORED_EXPERT(text, field, rows, columns, input, has_bias, ...)                                     \
    {                                                                                                       \
        .kind = MEMBER_LINEAR, .part = EXPERT, .name = (text),                                              \
        .member = offsetof(struct decoder_layer, field), .out = (rows), .in = (columns), .source = (input), \
        .bias = (has_bias), .storage = {                                                                    \
            __VA_ARGS__                                                                                     \
        }                                                                                                   \
    }
// As the reference has experts in memory and writes them with save_original_format=False, or each by itself.
// is_seldom: most checkpoints of the family are of the second kind.
#define FUSED_OR_SEPARATE(text, field, rows, columns, input, is_seldom, tensor, count, index)          \
    STORED_EXPERT(text, field, rows, columns, input, NEVER, .weight = (tensor), .seldom = (is_seldom), \
                  .parts = (count), .part = (index))
#define FUSED_OR_SEPARATE_EXPERTS(is_seldom)                                                            \
    FUSED_OR_SEPARATE("gate_proj", expert_gate, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0,     \
                      is_seldom, "mlp.experts.gate_up_proj", 2, 0),                                     \
        FUSED_OR_SEPARATE("up_proj", expert_up, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0,     \
                          is_seldom, "mlp.experts.gate_up_proj", 2, 1),                                 \
        FUSED_OR_SEPARATE("down_proj", expert_down, DIMENSION_HIDDEN, DIMENSION_EXPERT_INTERMEDIATE, 1, \
                          is_seldom, "mlp.experts.down_proj", 1, 0)
// What came with DeepSeek-V3: dense layers, and layers with a corrected router and shared experts.
#define SIGMOID_EXPERTS                                                                          \
    GATED_MLP(DENSE_LAYER, "mlp", DIMENSION_INTERMEDIATE, NEVER),                                \
        ROUTER("mlp.gate", router, DIMENSION_EXPERTS),                                           \
        ROUTER_CORRECTION("mlp.gate.e_score_correction_bias", DIMENSION_EXPERTS, DIMENSION_ONE), \
        GATED_MLP(SPARSE_LAYER, "mlp.shared_experts", DIMENSION_SHARED_INTERMEDIATE, NEVER),     \
        FUSED_OR_SEPARATE_EXPERTS(true)
#define EXPERTS(gate_name, up_name, down_name)                                                              \
    ROW(MEMBER_LINEAR, EXPERT, gate_name, expert_gate, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0,  \
        NEVER),                                                                                             \
        ROW(MEMBER_LINEAR, EXPERT, up_name, expert_up, DIMENSION_EXPERT_INTERMEDIATE, DIMENSION_HIDDEN, 0,  \
            NEVER),                                                                                         \
        ROW(MEMBER_LINEAR, EXPERT, down_name, expert_down, DIMENSION_HIDDEN, DIMENSION_EXPERT_INTERMEDIATE, \
            1, NEVER)

// Families with many experts.
extern const struct family_rows deepseek_family, glm4_moe_family, ernie4_5_moe_family, olmoe_family,
    minimax_m2_family, granitemoe_family, gpt_oss_family, phimoe_family;
#define EXPERT_FAMILIES                                                                          \
    &deepseek_family, &glm4_moe_family, &ernie4_5_moe_family, &olmoe_family, &minimax_m2_family, \
        &granitemoe_family, &gpt_oss_family, &phimoe_family

#define MEMBERS(array) .members = (array), .num_members = LENGTH(array)
// Names and keys that most families took over from LLaMA.
#define LLAMA_NAMES                                                                            \
    .prefix = "model.", .embedding = "embed_tokens", .layers = "layers", .final_norm = "norm", \
    .lm_head = "lm_head", .intermediate_key = "intermediate_size"
// Those that GPT-2's kin took over from it.
#define GPT2_NAMES                                                                                           \
    .prefix = "transformer.", .embedding = "wte", .layers = "h", .final_norm = "ln_f", .lm_head = "lm_head", \
    .layers_key = "n_layer", .hidden_key = "n_embd", .heads_key = "n_head", .positions_key = "n_positions",  \
    .intermediate_key = "n_inner", .default_intermediate = 4
#define NORMS(which, key, epsilon) .norm = (which), .epsilon_key = (key), .default_epsilon = (epsilon)
#define RMS(epsilon) NORMS(NORM_RMS, "rms_norm_eps", epsilon)
#define SIZES(...) .default_sizes = {__VA_ARGS__} // vocabulary, hidden, intermediate, layers, heads
#define ROPE(key, theta) .theta_key = (key), .default_theta = (theta)
#define ACTIVATION(key, name) .activation_key = (key), .default_activation = (name)
#define SILU ACTIVATION("hidden_act", "silu")
#define GELU_TANH ACTIVATION("hidden_activation", "gelu_pytorch_tanh")
