#include "kernels/gemm.h"

#include <blis.h>
#include <stdlib.h>

// BLIS has a second code path for small or thin matrices, whose edge kernels sum in another order: its bits
// change with the number of threads, and for these products (b transposed) it is also up to twice as slow. It
// is switched off, so that every element is summed over k in one fixed order.
static void gemm(trans_t transpose_a, trans_t transpose_b, float *c, size_t c_stride, const float *a,
                 size_t a_stride, const float *b, size_t b_stride, size_t m, size_t n, size_t k, float scale,
                 float keep)
{
    float alpha = scale, beta = keep;
    rntm_t runtime;

    bli_rntm_init_from_global(&runtime);
    bli_rntm_disable_l3_sup(&runtime);
    // BLIS's typed interface takes no const pointers; it only reads a and b.
    bli_sgemm_ex(transpose_a, transpose_b, (dim_t)m, (dim_t)n, (dim_t)k, &alpha, (float *)a, (inc_t)a_stride,
                 1, (float *)b, (inc_t)b_stride, 1, &beta, c, (inc_t)c_stride, 1, NULL, &runtime);
}

void gemm_nt(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k, float scale)
{
    gemm(BLIS_NO_TRANSPOSE, BLIS_TRANSPOSE, c, c_stride, a, a_stride, b, b_stride, m, n, k, scale, 0.0F);
}

void gemm_nn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k)
{
    gemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, c, c_stride, a, a_stride, b, b_stride, m, n, k, 1.0F, 0.0F);
}

void gemm_add_nn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                 size_t m, size_t n, size_t k)
{
    gemm(BLIS_NO_TRANSPOSE, BLIS_NO_TRANSPOSE, c, c_stride, a, a_stride, b, b_stride, m, n, k, 1.0F, 1.0F);
}

void gemm_tn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k)
{
    gemm(BLIS_TRANSPOSE, BLIS_NO_TRANSPOSE, c, c_stride, a, a_stride, b, b_stride, m, n, k, 1.0F, 0.0F);
}

static void gemm_f64(trans_t transpose_b, double *c, size_t c_stride, const double *a, size_t a_stride,
                     const double *b, size_t b_stride, size_t m, size_t n, size_t k, double scale,
                     double keep)
{
    double alpha = scale, beta = keep;
    rntm_t runtime;

    bli_rntm_init_from_global(&runtime);
    bli_rntm_disable_l3_sup(&runtime);
    bli_dgemm_ex(BLIS_NO_TRANSPOSE, transpose_b, (dim_t)m, (dim_t)n, (dim_t)k, &alpha, (double *)a,
                 (inc_t)a_stride, 1, (double *)b, (inc_t)b_stride, 1, &beta, c, (inc_t)c_stride, 1, NULL,
                 &runtime);
}

void gemm_subtract_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                       size_t b_stride, size_t m, size_t n, size_t k)
{
    gemm_f64(BLIS_NO_TRANSPOSE, c, c_stride, a, a_stride, b, b_stride, m, n, k, -1, 1);
}

void gemm_nn_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                 size_t b_stride, size_t m, size_t n, size_t k, double scale)
{
    gemm_f64(BLIS_NO_TRANSPOSE, c, c_stride, a, a_stride, b, b_stride, m, n, k, scale, 0);
}

void gemm_nt_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                 size_t b_stride, size_t m, size_t n, size_t k)
{
    gemm_f64(BLIS_TRANSPOSE, c, c_stride, a, a_stride, b, b_stride, m, n, k, 1, 0);
}

enum status gemm_prepare(struct error *err)
{
    // A block of B that fills a last-level cache's share, and a block of A for each thread: 8.4 MB and 0.3 MB
    // on the machines that BLIS 0.9 knows, in either precision.
    enum { SIDE = 64 };
    const size_t bytes = ((size_t)16 << 20) + ((size_t)1 << 20) * (size_t)labs(gemm_threads());
    float *probe = NULL;
    double *wide = NULL;

    FORWARD_IF_ERROR(allocate_aligned(&probe, bytes, 1, "the packed blocks of matrix products", err));
    free(probe);
    FORWARD_IF_ERROR(allocate(&wide, (size_t)2 * SIDE * SIDE, sizeof *wide, "a first matrix product", err));
    float *narrow = (float *)wide;
    gemm_nn(narrow + (size_t)SIDE * SIDE, SIDE, narrow, SIDE, narrow, SIDE, SIDE, SIDE, SIDE);
    gemm_subtract_f64(wide + (size_t)SIDE * SIDE, SIDE, wide, SIDE, wide, SIDE, SIDE, SIDE, SIDE);
    free(wide);
    return STATUS_OK;
}

long gemm_threads(void)
{
    return (long)bli_thread_get_num_threads();
}

void gemm_set_threads(long threads)
{
    bli_thread_set_num_threads((dim_t)threads);
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
