// blas.h - the one BLAS that the program was built with (COPPICE_BLAS): its products, its name.
// gemm.h is what the rest of the program calls.
//
// blas_blis.c is BLIS by its own interface, blas_cblas.c any library with CBLAS's. Only one of them is
// compiled.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// c[m, n] = alpha * a' b' + beta * c, row-major, where a' is a[m, k], or a[k, m]^T when it is transposed, and
// b' is b[k, n] or b[n, k]^T. A stride is the distance in elements between the starts of two rows as they are
// stored. With beta 0 the old contents of c do not matter.
struct blas_gemm {
    bool transpose_a, transpose_b;
    size_t m, n, k, c_stride, a_stride, b_stride;
    double alpha, beta; // float32 in float32 products
};
void blas_gemm_f32(float *c, const float *a, const float *b, const struct blas_gemm *gemm);
void blas_gemm_f64(double *c, const double *a, const double *b, const struct blas_gemm *gemm);

// Whether the bits of a product are promised to depend on its sizes and values alone, as gemm.h says. BLIS's
// are; of others a row may be summed in another order when there are more rows, or other columns beside it.
bool blas_keeps_bits(void);

// The library is to start no threads of its own, also for what LAPACK calls: gemm.c cuts products for those
// of threads.h. No effect on a library that cannot be told.
void blas_use_one_thread(void);

enum { BLAS_NAME_SIZE = 64 };

// The library that is loaded, and its version: "BLIS 0.9.0", "OpenBLAS 0.3.21".
void blas_name(char *name, size_t size);
