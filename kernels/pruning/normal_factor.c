// LAPACK's part of normal_equations.c, in a file of its own because the headers of LAPACK and BLIS declare
// the same functions differently.
#include "kernels/gemm.h"
#include "kernels/pruning/normal_equations.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

// A symmetric matrix is the same to LAPACK, which counts down the columns; 'L' is the half on and above our
// diagonal.
static const char half = 'L';

static bool factor_in_place(double *matrix, size_t in)
{
    const long threads = gemm_threads();
    bool done = in > 0;

    for (size_t j = 0; j < in && done; j++)
        done = isfinite(matrix[j * in + j]);
    if (!done)
        return in == 0;
    gemm_set_threads(1); // the bits of BLIS's small products change with the threads
    done = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, half, (lapack_int)in, matrix, (lapack_int)in) == 0;
    gemm_set_threads(threads);
    for (size_t j = 0; j < in && done; j++)
        done = isfinite(matrix[j * in + j]) && matrix[j * in + j] > 0;
    return done;
}

bool normal_equations_factor(double *factor, const struct normal_equations *equations)
{
    const size_t in = equations->in;

    for (size_t k = 0; k < in * in; k++)
        factor[k] = equations->g[k];
    for (size_t j = 0; j < in; j++)
        factor[j * in + j] += equations->lambda;
    return factor_in_place(factor, in);
}

// A row-major [count, in] is LAPACK's [in, count]: the right-hand sides as it wants them.
void least_squares_solve(float *weights, double *target, const double *factor, size_t in, size_t count)
{
    const long threads = gemm_threads();

    if (in == 0 || count == 0)
        return;
    gemm_set_threads(1);
    LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, half, (lapack_int)in, (lapack_int)count, factor, (lapack_int)in,
                        target, (lapack_int)in);
    gemm_set_threads(threads);
    for (size_t k = 0; k < count * in; k++)
        weights[k] = (float)target[k];
}

// Copies the half above the diagonal below it, in squares that fit into the cache.
static void mirror(double *matrix, size_t in)
{
    enum { SIDE = 64 };

    for (size_t top = 0; top < in; top += SIDE)
        for (size_t left = top; left < in; left += SIDE)
            for (size_t j = top; j < in && j < top + SIDE; j++)
                for (size_t k = left > j ? left : j + 1; k < in && k < left + SIDE; k++)
                    matrix[k * in + j] = matrix[j * in + k];
}

float *normal_equations_invert(double *wide, const struct normal_equations *equations, double rho)
{
    const size_t in = equations->in;
    const double *scale = equations->scale;
    const long threads = gemm_threads();
    float *inverse = (float *)wide;

    for (size_t j = 0; j < in; j++) {
        const double *g = equations->g + j * in;
        for (size_t k = 0; k < in; k++)
            wide[j * in + k] = g[k] / (scale[j] * scale[k]);
        wide[j * in + j] = (g[j] + equations->lambda) / (scale[j] * scale[j]) + rho;
    }
    if (!factor_in_place(wide, in))
        return NULL;
    gemm_set_threads(1);
    const lapack_int code = LAPACKE_dpotri_work(LAPACK_COL_MAJOR, half, (lapack_int)in, wide, (lapack_int)in);
    gemm_set_threads(threads);
    if (code != 0)
        return NULL;
    mirror(wide, in);
    for (size_t k = 0; k < in * in; k++) { // an element's place is never behind the one it comes from
        const float rounded = (float)wide[k];
        memcpy(&inverse[k], &rounded, sizeof rounded);
    }
    return inverse;
}
