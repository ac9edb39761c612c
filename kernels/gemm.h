// gemm.h - matrix products in float32, and the linear built on them. Row-major; a stride is the distance in
// floats between the starts of two rows.
//
// The bits of a product depend on its sizes and values alone: not on the number of threads, nor on where the
// arrays lie in memory (64-byte alignment is faster). Nothing is promised between machines of different
// instruction sets.
#pragma once
#include <stddef.h>

struct linear {
    size_t out, in;
    const float *weight; // [out, in], NULL: this linear is absent
    const float *bias;   // [out] or NULL
};

// c[m, n] = scale * a[m, k] b[n, k]^T
void gemm_nt(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k, float scale);
// c[m, n] = a[m, k] b[k, n]
void gemm_nn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k);

// y[tokens, out] = x[tokens, in] W^T + bias; x is contiguous.
void linear_forward(float *y, size_t y_stride, const struct linear *linear, const float *x, size_t tokens);
// The linear that gives the outputs [first, first + count) alone.
struct linear linear_slice(const struct linear *linear, size_t first, size_t count);
