// gemm.h - matrix products in float32 (some in double), and the linear built on them. Row-major; a stride is
// the distance in elements between the starts of two rows.
//
// Threads (threads.h) each compute a piece of c. The bits of a product depend on its sizes and values alone:
// not on the number of threads, nor on where the arrays lie in memory (64-byte alignment is faster). A row of
// c depends on its own row of a alone, not on m or the rows beside it. Nothing is promised between machines
// of different instruction sets (kernels/METHOD.md §14).
#pragma once
#include "kernels/compute.h"
#include "kernels/error.h"
#include <stddef.h>

struct linear {
    size_t out, in;
    const float *weight; // [out, in], NULL: this linear is absent
    const float *bias;   // [out] or NULL
    enum compute compute;
};

// c[m, n] = scale * a[m, k] b[n, k]^T
void gemm_nt(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k, float scale);
// The same in another arithmetic, for which compute_prepare (bf16_gemm.h) has been called.
void gemm_nt_as(enum compute compute, float *c, size_t c_stride, const float *a, size_t a_stride,
                const float *b, size_t b_stride, size_t m, size_t n, size_t k, float scale);
// c[m, n] = a[m, k] b[k, n]
void gemm_nn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k);
// c[m, n] += a[m, k] b[k, n]
void gemm_add_nn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                 size_t m, size_t n, size_t k);
// c[m, n] = a[k, m]^T b[k, n]
void gemm_tn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k);
// c[m, n] -= a[m, k] b[k, n], in double
void gemm_subtract_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                       size_t b_stride, size_t m, size_t n, size_t k);
// c[m, n] = scale * a[m, k] b[k, n], in double
void gemm_nn_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                 size_t b_stride, size_t m, size_t n, size_t k, double scale);
// c[m, n] = a[m, k] b[n, k]^T, in double
void gemm_nt_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                 size_t b_stride, size_t m, size_t n, size_t k);

// Starts the threads, and makes BLIS allocate the memory that each packs matrices into, some MB, which it
// keeps. Later, in the middle of a product, it would end the program if there were none. Called once, after
// the number of threads is known. STATUS_MEMORY.
enum status gemm_prepare(struct error *err);

// y[tokens, out] = x[tokens, in] W^T + bias; x is contiguous.
void linear_forward(float *y, size_t y_stride, const struct linear *linear, const float *x, size_t tokens);
// The part of a linear that gives the outputs [first, first + count).
struct linear linear_slice(const struct linear *linear, size_t first, size_t count);
