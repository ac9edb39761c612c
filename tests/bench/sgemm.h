// sgemm.h - the peer of the forward pass's kernels: bare sgemm of products of the same sizes.
#pragma once
#include "kernels/error.h"
#include "tests/bench/pair.h"
#include <cblas.h>

static inline float *new_floats(size_t count)
{
    float *x;
    struct error err;

    if (allocate_aligned(&x, count, sizeof *x, "the benchmark", &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((i * 2654435761U >> 8) & 0xffff) * 0x1p-20F - 0x1p-5F;
    return x;
}

// out[m, n] = x[m, k] W[n, k]^T, the shape of a linear; all contiguous.
static inline void sgemm_linear(float *out, const float *x, const float *weight, size_t m, size_t n, size_t k)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)k, 1.0F, x, (int)k, weight,
                (int)k, 0.0F, out, (int)n);
}

// Attention's two products of a block of rows and a block of keys, `times` over: scores = Q K^T, out +=
// scores V.
enum { SGEMM_ROWS = 512, SGEMM_KEYS = 256 };
static inline void sgemm_attention(float *scores, float *out, const float *x, size_t head_dim, size_t times)
{
    const int dim = (int)head_dim;

    for (size_t i = 0; i < times; i++) {
        sgemm_linear(scores, x, x, SGEMM_ROWS, SGEMM_KEYS, head_dim);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SGEMM_ROWS, dim, SGEMM_KEYS, 1.0F, scores,
                    SGEMM_KEYS, x, dim, 1.0F, out, dim);
    }
}

static inline double sgemm_attention_operations(size_t head_dim)
{
    return 4.0 * SGEMM_ROWS * SGEMM_KEYS * (double)head_dim;
}
