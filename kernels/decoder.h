// decoder.h - the forward pass of one decoder layer: arrays in, arrays out.
//
// Everything is float32, row-major; T = tokens of one sequence. A layer is computed a whole sequence at a
// time, with the same shapes whoever computes it, so that its bits do not depend on the number of ranks.
#pragma once
#include "kernels/activation.h"
#include "kernels/gemm.h"
#include "kernels/norm.h"
#include "kernels/rotary.h"
#include <stdbool.h>
#include <stddef.h>

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
    struct norm input_norm, post_attention_norm; // before attention, before the MLP
    struct linear q, k, v, o;
    struct linear gate, up, down;
    size_t sliding_window; // 0: full attention
};

// Statistics sources of a layer: which linears read the same input.
enum decoder_source {
    SOURCE_ATTENTION = 0,        // q, k, v
    SOURCE_ATTENTION_OUTPUT = 1, // o
    SOURCE_MLP = 2,              // gate, up
    SOURCE_MLP_DOWN = 3,         // down
};

// Called with the input of the linears of one statistics source (see io/model.h) just before they are
// applied: x[tokens, channels].
struct decoder_observer {
    void *context;
    void (*input)(void *context, size_t source, const float *x, size_t tokens, size_t channels);
};

// Floats of workspace that decoder_layer_forward needs for a sequence of `tokens`.
size_t decoder_workspace_size(const struct decoder_config *config, size_t tokens);

// hidden[T, hidden_size] <- the layer's output, in place. observer may be NULL. Workspace and weights are
// faster when aligned to 64 bytes; the bits are the same anywhere.
void decoder_layer_forward(const struct decoder_config *config, const struct decoder_layer *layer,
                           const struct rotary_table *rotary, float *hidden, size_t tokens, float *workspace,
                           const struct decoder_observer *observer);
