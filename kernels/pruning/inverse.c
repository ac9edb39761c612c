#include "kernels/pruning/inverse.h"
#include "kernels/gemm.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

// To LAPACK, which counts down the columns, 'L' is the half on and above our diagonal.
static bool invert_tile(double *tile, size_t n)
{
    const long threads = gemm_threads();
    bool done = true;

    for (size_t j = 0; j < n && done; j++)
        done = isfinite(tile[j * n + j]);
    gemm_set_threads(1); // the bits of BLIS's small products change with the threads
    done = done && LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, tile, (lapack_int)n) == 0 &&
           LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, tile, (lapack_int)n) == 0;
    gemm_set_threads(threads);
    for (size_t j = 0; j < n; j++)
        for (size_t k = j + 1; k < n; k++)
            tile[k * n + j] = tile[j * n + k];
    return done;
}

void inverse_pivot(double *matrix, size_t in, size_t k, double *workspace)
{
    const size_t n = tile_size(in, k);
    double *pivot = matrix + k * MATRIX_TILE * (in + 1);

    tile_copy(workspace, n, pivot, in, n, n);
    if (!invert_tile(workspace, n))
        for (size_t j = 0; j < n * n; j++)
            workspace[j] = NAN;
    tile_copy(pivot, in, workspace, n, n, n);
}

// A_kj <- P A_kj
void inverse_across(double *matrix, size_t in, size_t k, size_t j, double *workspace)
{
    const size_t rows = tile_size(in, k), columns = tile_size(in, j);
    const double *pivot = matrix + k * MATRIX_TILE * (in + 1);
    double *tile = matrix + k * MATRIX_TILE * in + j * MATRIX_TILE;

    tile_copy(workspace, columns, tile, in, rows, columns);
    gemm_nn_f64(tile, in, pivot, in, workspace, columns, rows, columns, rows, 1);
}

// A_i <- A_i - A_ik A_k beside column k, and A_ik <- -A_ik P
void inverse_down(double *matrix, size_t in, size_t k, size_t i, double *workspace)
{
    const size_t rows = tile_size(in, i), n = tile_size(in, k), before = k * MATRIX_TILE, after = before + n;
    const double *across = matrix + before * in;
    double *row = matrix + i * MATRIX_TILE * in;

    tile_copy(workspace, n, row + before, in, rows, n);
    if (before > 0)
        gemm_subtract_f64(row, in, workspace, n, across, in, rows, before, n);
    if (after < in)
        gemm_subtract_f64(row + after, in, workspace, n, across + after, in, rows, in - after, n);
    gemm_nn_f64(row + before, in, workspace, n, across + before, in, rows, n, n, -1);
}

bool inverse_alone(double *matrix, size_t in, double *workspace)
{
    const size_t tiles = matrix_tiles(in);

    for (size_t k = 0; k < tiles; k++) {
        inverse_pivot(matrix, in, k, workspace);
        for (size_t j = 0; j < tiles; j++)
            if (j != k)
                inverse_across(matrix, in, k, j, workspace);
        for (size_t i = 0; i < tiles; i++)
            if (i != k)
                inverse_down(matrix, in, k, i, workspace);
    }
    return diagonal_is_positive(matrix, in);
}

void inverse_narrow(double *matrix, size_t in, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        double *row = matrix + i * in;
        for (size_t j = 0; j < in; j++) { // a column's place is never behind the one it comes from
            const float narrow = (float)row[j];
            memcpy((char *)row + j * sizeof narrow, &narrow, sizeof narrow);
        }
    }
}
