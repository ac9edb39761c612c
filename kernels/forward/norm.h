// norm.h - root-mean-square and layer normalisation over the last dimension.
#pragma once
#include "kernels/forward/heads.h"
#include <stdbool.h>
#include <stddef.h>

enum norm_kind { NORM_RMS = 0, NORM_LAYER = 1, NORM_RMS_ONE_PLUS = 2, NORM_LAYER_ONE_PLUS = 3 };

struct norm {
    const float *weight; // [size], NULL: this norm is absent, or plain
    const float *bias;   // [size] or NULL
    bool plain;          // it has no weight: 1 stands in its place
    // Of a norm of heads: floats from the weight of one head to that of the next; 0: all heads share one.
    size_t head_stride;
};

static inline bool norm_is_there(const struct norm *norm)
{
    return norm->weight != NULL || norm->plain;
}

// out[rows, size] from x[rows, size]; out may be x. Means are taken in double.
//   NORM_RMS    x / sqrt(mean(x^2) + epsilon) * weight                         (Zhang and Sennrich, 2019)
//   NORM_RMS_ONE_PLUS  the same with 1 + weight in place of weight              (Gemma, 2024)
//   NORM_LAYER  (x - mean(x)) / sqrt(var(x) + epsilon) * weight + bias         (Ba, Kiros and Hinton, 2016)
//   NORM_LAYER_ONE_PLUS  the same with 1 + weight in place of weight           (Nemotron, 2024)
void norm_forward(float *out, const float *x, size_t rows, size_t size, const struct norm *norm,
                  enum norm_kind kind, float epsilon);
// The same, in place, for the first `size` channels of every head.
void norm_heads(const struct heads *heads, size_t size, const struct norm *norm, enum norm_kind kind,
                float epsilon);
