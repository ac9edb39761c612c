// experts.h - a sparse mixture of experts: every token goes to the few experts that its router prefers
// (Shazeer et al., 2017; Mixtral, 2024).
#pragma once
#include "kernels/forward/feed_forward.h"
#include "kernels/forward/routing.h"
#include <stdbool.h>

struct experts {
    struct router router;
    struct feed_forward
        first; // expert 0; the others' weights and biases follow, each `stride` floats after the one before
    size_t stride;
    const float *router_input; // [tokens, hidden] that the router reads; NULL: what the experts read
};

size_t experts_workspace_size(size_t num_experts, size_t num_experts_per_tok, size_t hidden_size,
                              size_t moe_intermediate_size, size_t tokens);

// out[tokens, hidden] += sum over the chosen experts (routing.h) of share * expert(x), or of expert(share *
// x) where routing says on_input. Expert e's inputs are the observer's sources first_source + 2e and
// first_source + 2e + 1, with the tokens routed to it, in order. False when it ended the pass. workspace:
// memory from an allocator (part of it holds integers).
bool experts_forward(float *out, const struct experts *experts, const float *x, size_t tokens,
                     float *workspace, const struct decoder_observer *observer, size_t first_source);
