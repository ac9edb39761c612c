// decoder.h - the forward pass of one decoder layer: arrays in, arrays out.
//
// Everything is float32, row-major; T = tokens of one sequence. A layer is computed a whole sequence at a
// time, with the same shapes whoever computes it, so that its bits do not depend on the number of ranks.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum norm_kind { NORM_RMS = 0, NORM_LAYER = 1 };
enum activation { ACTIVATION_SILU = 0, ACTIVATION_GELU = 1, ACTIVATION_GELU_TANH = 2, ACTIVATION_RELU = 3 };

struct norm {
    const float *weight; // [size], NULL: this norm is absent
    const float *bias;   // [size] or NULL
};

struct linear {
    size_t out, in;
    const float *weight; // [out, in], NULL: this linear is absent
    const float *bias;   // [out] or NULL
};

// What does not change from layer to layer.
struct decoder_config {
    size_t hidden_size, intermediate_size;
    size_t num_attention_heads, num_key_value_heads, head_dim, rotary_dim;
    enum norm_kind norm;
    float norm_epsilon;
    enum activation activation;
    float attention_scale; // 1 / sqrt(head_dim) unless the family says otherwise
    // Further members for other families (soft caps, parallel residual, 1 + w norms, ...) are added here.
};

// One layer's weights; what the family does not have stays zeroed.
struct decoder_layer {
    struct norm input_norm, post_attention_norm;
    struct linear q, k, v, o;
    struct linear gate, up, down;
    size_t sliding_window; // 0: full attention
};

// cos and sin of the rotary angles of positions 0 ... tokens - 1: [tokens, rotary_dim / 2] each.
struct rotary_table {
    size_t tokens;
    const float *cosine, *sine;
};

// Called with the input of the linears of one statistics source (see io/model.h) just before they are
// applied: x[tokens, channels].
struct decoder_observer {
    void *context;
    void (*input)(void *context, size_t source, const float *x, size_t tokens, size_t channels);
};

// Floats of workspace that decoder_layer_forward needs for a sequence of `tokens`.
size_t decoder_workspace_size(const struct decoder_config *config, size_t tokens);

// hidden[T, hidden_size] <- the layer's output, in place. observer may be NULL.
void decoder_layer_forward(const struct decoder_config *config, const struct decoder_layer *layer,
                           const struct rotary_table *rotary, float *hidden, size_t tokens, float *workspace,
                           const struct decoder_observer *observer);
