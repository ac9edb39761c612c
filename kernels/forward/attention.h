// attention.h - causal grouped-query attention (Ainslie et al., 2023; with as many key-value heads as heads
// it is multi-head attention).
#pragma once
#include <stddef.h>

struct attention {
    size_t num_heads, num_key_value_heads, head_dim; // num_heads is a multiple of num_key_value_heads
    // Head h of token t starts at query + t * token_stride + h * query_head_stride; key and value likewise,
    // with key_value_head_stride. Head h reads key-value head h / (num_heads / num_key_value_heads).
    const float *query, *key, *value;
    size_t token_stride, query_head_stride, key_value_head_stride;
    size_t value_dim;         // channels of a head's value; 0: head_dim, and
    size_t value_head_stride; // the distance of two heads' values; 0: key_value_head_stride
    const float *sinks;       // [num_heads] or NULL, see attention_forward
    float scale;              // on the scores, before softmax
    float soft_cap;           // then score = c * tanh(score / c); 0: not
    // [num_heads, bias_stride], or NULL: the score of query q and key k gets bias[k] - bias[q], by their
    // positions, before softmax.
    const float *bias;
    size_t bias_stride;
    size_t sliding_window; // token t sees the tokens t - sliding_window + 1 ... t; 0: all up to t
    size_t chunk; // instead, token t sees those from the last multiple of it up to t (Llama 4); 0: not
};

// Floats of workspace for `tokens` queries, however many keys they have: for each thread a block of queries,
// a block of keys and their scores. It reads the attention's sizes alone: num_heads, head_dim, value_dim.
size_t attention_workspace_size(const struct attention *attention, size_t tokens);

// out[tokens, num_heads * value_dim] = softmax(scale * Q K^T, causal) V. A sink is one more score in the
// softmax, of a key whose value is zero (gpt-oss, 2025): it takes its share of the sum alone.
void attention_forward(float *out, const struct attention *attention, size_t tokens, float *workspace);

// Tokens that came before those of an attention, with key and value like the attention's (same strides).
struct attention_past {
    size_t tokens;
    const float *key, *value;
};

// The same for tokens that continue a past: token t sees all of it (or what the window leaves of it) and the
// tokens up to t. The bits of a token's output do not depend on how its sequence is divided into past and
// tokens.
void attention_forward_after(float *out, const struct attention *attention, const struct attention_past *past,
                             size_t tokens, float *workspace);
