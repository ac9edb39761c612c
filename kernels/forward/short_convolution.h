// short_convolution.h - a causal convolution of each channel by itself, over a few tokens.
#pragma once
#include <stddef.h>

struct short_convolution {
    size_t channels, taps;
    const float *weight; // [taps, channels], the last tap for the token itself; rows weight_stride apart
    size_t weight_stride;
};

// Rows of channels, `stride` floats apart, and those that came before them (the same stride); what came
// before those is zero.
struct convolved_tokens {
    const float *x, *past;
    size_t tokens, past_tokens, stride;
};

// out[tokens, channels] = sum over the taps k, oldest first, of weight[k] * x[t - (taps - 1) + k]; rows of
// out are out_stride apart, and out is not x.
void short_convolution_forward(float *out, size_t out_stride, const struct short_convolution *convolution,
                               const struct convolved_tokens *tokens);
