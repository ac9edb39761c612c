#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/gemm.h"
#include "tests/support/definite_matrix.h"
#include "tests/support/random.h"

#include <stdlib.h>

void *aligned_memory(size_t bytes)
{
    void *block = aligned_alloc(64, (bytes + 64) / 64 * 64);
    assert_non_null(block);
    return block;
}

double *definite_matrix(size_t in)
{
    struct random_state random = random_seed(in);
    double *x = aligned_memory(in * in * sizeof *x), *matrix = aligned_memory(in * in * sizeof *matrix);

    for (size_t k = 0; k < in * in; k++)
        x[k] = random_normal(&random);
    gemm_nt_f64(matrix, in, x, in, x, in, in, in, in);
    for (size_t k = 0; k < in * in; k++)
        matrix[k] = matrix[k] / (double)in + (k % (in + 1) == 0 ? 0.1 : 0);
    free(x);
    return matrix;
}
