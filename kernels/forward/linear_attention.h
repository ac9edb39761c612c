// linear_attention.h - a layer's attention by the gated delta rule between linears: projections, a short
// convolution, the rule head by head, a gated norm (Qwen3-Next, 2025).
#pragma once
#include "kernels/forward/activation.h"
#include "kernels/forward/norm.h"
#include "kernels/forward/token_tree.h"
#include "kernels/gemm.h"

// The same in all layers that have it; num_value_heads is a multiple of num_key_heads, and value head h reads
// the query and key of key head h / (num_value_heads / num_key_heads).
struct linear_attention_config {
    size_t num_key_heads, num_value_heads, key_head_dim, value_head_dim; // 0: the model has none
    size_t taps;                                                         // of the convolution
    enum activation activation;                                          // after the convolution
    float norm_epsilon;
};

// One layer's weights. K = num_key_heads * key_head_dim, V = num_value_heads * value_head_dim.
struct linear_attention {
    // For each key head its query, its key, the values of its value heads, and their gates: [2 K + 2 V, in];
    // and for each key head the betas of its value heads, then their decays: [2 num_value_heads, in].
    struct linear qkvz, ba;
    // Or, instead of both: all queries, all keys, all values [2 K + V, in]; gates [V, in]; betas and decays
    // [num_value_heads, in] each.
    struct linear qkv, z, b, a;
    const float *convolution;     // [2 K + V, taps]: channels of all queries, all keys, all values
    const float *a_log, *dt_bias; // [num_value_heads]
    struct norm norm;             // per head, [value_head_dim]
    struct linear out;            // [out, V]
};

// V, the channels that `out` reads; 0 where the config is.
size_t linear_attention_channels(const struct linear_attention_config *config);
// Floats of workspace for so many tokens.
size_t linear_attention_workspace_size(const struct linear_attention_config *config, size_t tokens);

// mixed[tokens of the tree, V] <- the input of attention->out, from x[tokens of the tree, in]; mixed may be
// x.
//   g = -e^a_log * log(1 + e^(a + dt_bias)),  beta = sigmoid(b)
//   queries and keys of a head x / sqrt(sum x^2 + 1e-6), queries then / sqrt(key_head_dim)
//   out of the rule, normed (x / sqrt(mean x^2 + epsilon) * weight), times silu(z)
// A branch begins with the state and the convolution's past as the prefix leaves them.
void linear_attention_forward(float *mixed, const struct linear_attention *attention,
                              const struct linear_attention_config *config, const float *x,
                              const struct token_tree *tree, float *workspace);

// Multiplications and additions for a token, without those of the linears.
double linear_attention_work(const struct linear_attention_config *config);
