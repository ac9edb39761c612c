#include "kernels/gemm.h"

#include <blis.h>

// BLIS has a second code path for small or thin matrices, whose edge kernels sum in another order: its bits
// change with the number of threads, and for these products (b transposed) it is also up to twice as slow. It
// is switched off, so that every element is summed over k in one fixed order.
static void gemm(trans_t transpose_b, float *c, size_t c_stride, const float *a, size_t a_stride,
                 const float *b, size_t b_stride, size_t m, size_t n, size_t k, float scale)
{
    float alpha = scale, beta = 0.0F;
    rntm_t runtime;

    bli_rntm_init_from_global(&runtime);
    bli_rntm_disable_l3_sup(&runtime);
    // BLIS's typed interface takes no const pointers; it only reads a and b.
    bli_sgemm_ex(BLIS_NO_TRANSPOSE, transpose_b, (dim_t)m, (dim_t)n, (dim_t)k, &alpha, (float *)a,
                 (inc_t)a_stride, 1, (float *)b, (inc_t)b_stride, 1, &beta, c, (inc_t)c_stride, 1, NULL,
                 &runtime);
}

void gemm_nt(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k, float scale)
{
    gemm(BLIS_TRANSPOSE, c, c_stride, a, a_stride, b, b_stride, m, n, k, scale);
}

void gemm_nn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k)
{
    gemm(BLIS_NO_TRANSPOSE, c, c_stride, a, a_stride, b, b_stride, m, n, k, 1.0F);
}

void linear_forward(float *y, size_t y_stride, const struct linear *linear, const float *x, size_t tokens)
{
    gemm_nt(y, y_stride, x, linear->in, linear->weight, linear->in, tokens, linear->out, linear->in, 1.0F);
    if (linear->bias == NULL)
        return;
    for (size_t t = 0; t < tokens; t++) {
        float *row = y + t * y_stride;
        for (size_t i = 0; i < linear->out; i++)
            row[i] += linear->bias[i];
    }
}

struct linear linear_slice(const struct linear *linear, size_t first, size_t count)
{
    struct linear slice = {.out = count, .in = linear->in, .weight = linear->weight + first * linear->in};
    if (linear->bias != NULL)
        slice.bias = linear->bias + first;
    return slice;
}
