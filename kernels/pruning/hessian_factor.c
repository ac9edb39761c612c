// The factor of a Hessian, by LAPACK.
#include "kernels/gemm.h"
#include "kernels/pruning/second_order.h"

#include <lapacke.h>
#include <math.h>

// Element k of a row-major matrix and element in * in - 1 - k change places: rows and columns are both
// reversed, and upper and lower triangle are exchanged.
static void reverse(double *matrix, size_t in)
{
    const size_t last = in * in - 1;

    for (size_t k = 0; k < last - k; k++) {
        const double swapped = matrix[k];
        matrix[k] = matrix[last - k];
        matrix[last - k] = swapped;
    }
}

// P reverses: P H P = L L^T gives H = (P L P) (P L P)^T with P L P upper triangular, whose inverse P L^-1 P
// is U. To LAPACK, which counts down the columns, a lower triangle of ours is an upper one.
bool hessian_factor(double *hessian, size_t in)
{
    const long threads = gemm_threads();
    bool done = in > 0;

    for (size_t j = 0; j < in && done; j++)
        done = isfinite(hessian[j * in + j]);
    if (!done)
        return in == 0;
    reverse(hessian, in);
    gemm_set_threads(1);
    done = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (lapack_int)in, hessian, (lapack_int)in) == 0 &&
           LAPACKE_dtrtri_work(LAPACK_COL_MAJOR, 'U', 'N', (lapack_int)in, hessian, (lapack_int)in) == 0;
    gemm_set_threads(threads);
    reverse(hessian, in);
    for (size_t j = 0; j < in && done; j++)
        done = isfinite(hessian[j * in + j]) && hessian[j * in + j] > 0;
    return done;
}
