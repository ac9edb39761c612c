#include "kernels/gemm.h"
#include "kernels/blas.h"

#include <stdlib.h>

// c[m, n] = a[m, k] b[k, n]; the others differ from it in a member or two.
static struct blas_gemm product(size_t m, size_t n, size_t k, size_t c_stride, size_t a_stride,
                                size_t b_stride)
{
    return (struct blas_gemm){
        .m = m, .n = n, .k = k, .c_stride = c_stride, .a_stride = a_stride, .b_stride = b_stride, .alpha = 1};
}

void gemm_nt(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k, float scale)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.transpose_b = true;
    gemm.alpha = (double)scale;
    blas_gemm_f32(c, a, b, &gemm);
}

void gemm_nn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k)
{
    const struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    blas_gemm_f32(c, a, b, &gemm);
}

void gemm_add_nn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                 size_t m, size_t n, size_t k)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.beta = 1;
    blas_gemm_f32(c, a, b, &gemm);
}

void gemm_tn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.transpose_a = true;
    blas_gemm_f32(c, a, b, &gemm);
}

void gemm_subtract_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                       size_t b_stride, size_t m, size_t n, size_t k)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.alpha = -1;
    gemm.beta = 1;
    blas_gemm_f64(c, a, b, &gemm);
}

void gemm_nn_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                 size_t b_stride, size_t m, size_t n, size_t k, double scale)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.alpha = scale;
    blas_gemm_f64(c, a, b, &gemm);
}

void gemm_nt_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                 size_t b_stride, size_t m, size_t n, size_t k)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.transpose_b = true;
    blas_gemm_f64(c, a, b, &gemm);
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
    return blas_threads();
}

void gemm_set_threads(long threads)
{
    blas_set_threads(threads);
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
