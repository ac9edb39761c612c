// per_layer_input.h - what a layer reads of the tokens themselves, in models that have an embedding for every
// layer (Gemma 3n, 2025; Gemma 4).
#pragma once
#include "kernels/forward/embedding.h"
#include "kernels/forward/norm.h"
#include "kernels/gemm.h"

struct per_layer_input {
    struct embedding tokens;  // what enters the first layer, [hidden]
    struct embedding own;     // this layer's part of the other table, [size]
    struct linear projection; // [size, hidden], of the former
    struct norm norm;         // of the projection
    enum norm_kind norm_kind;
    float norm_epsilon;
};

size_t per_layer_input_workspace_size(size_t size, size_t hidden_size, size_t tokens);
// out[tokens, size] = (norm(projection(tokens[id]) / sqrt(hidden)) + own[id]) / sqrt(2)
void per_layer_input_forward(float *out, const struct per_layer_input *input, const int32_t *ids,
                             size_t tokens, float *workspace);
