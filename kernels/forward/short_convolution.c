#include "kernels/forward/short_convolution.h"
#include "kernels/simd.h"

// The row `back` tokens before token t, NULL where there is none.
static const float *row_before(const struct convolved_tokens *tokens, size_t t, size_t back)
{
    if (back <= t)
        return tokens->x + (t - back) * tokens->stride;
    const size_t into_past = back - t;
    return into_past <= tokens->past_tokens
               ? tokens->past + (tokens->past_tokens - into_past) * tokens->stride
               : NULL;
}

SIMD_CLONES
static void multiply(float *restrict out, const float *restrict weight, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = weight[i] * x[i];
}

SIMD_CLONES
static void multiply_add(float *restrict out, const float *restrict weight, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] += weight[i] * x[i];
}

void short_convolution_forward(float *out, size_t out_stride, const struct short_convolution *convolution,
                               const struct convolved_tokens *tokens)
{
    for (size_t t = 0; t < tokens->tokens; t++) {
        float *row = out + t * out_stride;
        void (*apply)(float *restrict, const float *restrict, const float *restrict, size_t) = multiply;
        for (size_t k = 0; k < convolution->taps; k++) {
            const float *x = row_before(tokens, t, convolution->taps - 1 - k);
            if (x == NULL)
                continue;
            apply(row, convolution->weight + k * convolution->weight_stride, x, convolution->channels);
            apply = multiply_add; // the token itself is always there, so that every row is written
        }
    }
}
