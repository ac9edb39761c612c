// naive.h - the oracles of the forward pass: plain loops in double, written from the formulas, independent of
// kernels/.
#pragma once
#include "kernels/forward/decoder.h"
#include <math.h>
#include <stddef.h>
#include <stdint.h>

// |actual - expected| <= tolerance, NaN never.
#define assert_close(actual, expected, tolerance) assert_true(fabs((actual) - (expected)) <= (tolerance))

// count floats in [-scale, scale), the same for the same seed; freed by the caller.
float *uniform_floats(size_t count, float scale, uint64_t seed);
// Largest |x - y| over n.
double largest_difference(const float *x, const float *y, size_t n);

// c[m, n] = a[m, k] b[n, k]^T + bias[n] (may be NULL)
void naive_linear(float *c, const float *a, const float *b, const float *bias, size_t m, size_t n, size_t k);
void naive_norm(float *out, const float *x, size_t rows, size_t size, const struct norm *norm,
                enum norm_kind kind, double epsilon);
double naive_activation(double x, enum activation activation);
double naive_xielu(double x, const struct xielu *xielu);
// x[tokens, heads, head_dim], contiguous; theta ^ (-2i / rotary_dim) radians per position.
void naive_rotary(float *x, size_t tokens, size_t heads, size_t head_dim, size_t rotary_dim, double theta);
// The same with channel 2i paired with channel 2i + 1.
void naive_rotary_interleaved(float *x, size_t tokens, size_t heads, size_t head_dim, size_t rotary_dim,
                              double theta);
// Query heads over key-value heads that they share in equal groups; window 0: a query sees all keys up to its
// own, else the last `window` of them.
struct naive_heads {
    size_t tokens, heads, kv_heads, head_dim, window;
    double scale;
};
// q[tokens, heads, head_dim], k and v [tokens, kv_heads, head_dim], out[tokens, heads, head_dim], all
// contiguous.
void naive_attention(float *out, const float *q, const float *k, const float *v,
                     const struct naive_heads *heads);
