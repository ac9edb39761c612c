#include "kernels/forward/per_layer_input.h"
#include "kernels/workspace.h"

#include <math.h>

size_t per_layer_input_workspace_size(size_t size, size_t hidden_size, size_t tokens)
{
    return cache_lines(tokens * hidden_size) + cache_lines(tokens * size);
}

void per_layer_input_forward(float *out, const struct per_layer_input *input, const int32_t *ids,
                             size_t tokens, float *workspace)
{
    const size_t size = input->projection.out, hidden_size = input->projection.in;
    const float shrink = (float)(1.0 / sqrt((double)hidden_size)), half = (float)sqrt(0.5);
    float *hidden = workspace, *own = workspace + cache_lines(tokens * hidden_size);

    embedding_forward(hidden, &input->tokens, ids, tokens);
    linear_forward(out, size, &input->projection, hidden, tokens);
    for (size_t i = 0; i < tokens * size; i++)
        out[i] *= shrink;
    norm_forward(out, out, tokens, size, &input->norm, input->norm_kind, input->norm_epsilon);
    embedding_forward(own, &input->own, ids, tokens);
    for (size_t i = 0; i < tokens * size; i++)
        out[i] = (out[i] + own[i]) * half;
}
