// feed_forward.h - the MLP of a layer, or one expert.
#pragma once
#include "kernels/forward/activation.h"
#include "kernels/forward/observer.h"
#include "kernels/gemm.h"

// down(f(gate(x)) * up(x)), or without a gate (its weight NULL) down(f(up(x))).
struct feed_forward {
    struct linear gate, up; // [intermediate, hidden]
    struct linear down;     // [hidden, intermediate]
    enum activation activation;
    struct xielu xielu;           // of ACTIVATION_XIELU, which only stands without a gate
    struct clamped_swiglu swiglu; // of ACTIVATION_CLAMPED_SWIGLU
};

// Floats of workspace for `tokens`. With a gate, too, the inner activations are held once, not twice, beside
// some columns of the other branch.
size_t feed_forward_workspace_size(size_t intermediate_size, bool has_gate, size_t tokens);

// out[tokens, hidden] from x[tokens, hidden]. The observer sees x as `source` and down's input as source + 1.
// False when the observer ended it; then out is not computed.
bool feed_forward(float *out, const struct feed_forward *mlp, const float *x, size_t tokens, float *workspace,
                  const struct decoder_observer *observer, size_t source);
