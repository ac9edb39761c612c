// pass.h - one pass through a decoder layer, as its two blocks see it (attention_block.h, mlp_block.h).
#pragma once
#include "kernels/forward/layer.h"
#include "kernels/forward/observer.h"
#include "kernels/forward/rotary.h"

// What the pass reads, and its intermediates in the workspace.
struct pass {
    const struct decoder_config *config;
    const struct decoder_layer *layer;
    const struct rotary_table *rotary;
    const struct decoder_observer *observer;
    const struct token_tree *tree;
    size_t tokens; // of the whole tree
    float *state;  // [T, state_size]
    float *hidden; // [T, hidden]: the residual stream; the state, where that is all
    float *input;  // [T, hidden or all heads' channels]: the normed input; then the heads' outputs
    float *delta;  // [T, hidden]: what is added to the residual stream
    float *inner;  // query, key and value [T, qkv] and attention's scores; then what the MLP needs
};

static inline size_t query_size(const struct decoder_config *config)
{
    return config->num_attention_heads * config->head_dim;
}

// Of what the heads put out.
static inline size_t values_size(const struct decoder_config *config)
{
    return config->num_attention_heads * value_head_dim(config);
}

static inline size_t key_value_size(const struct decoder_config *config)
{
    return config->num_key_value_heads * config->head_dim;
}

static inline void normalise(const struct pass *pass, float *out, const float *x, const struct norm *norm)
{
    norm_forward(out, x, pass->tokens, pass->config->hidden_size, norm, pass->config->norm,
                 pass->config->norm_epsilon);
}
