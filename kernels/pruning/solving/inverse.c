#include "kernels/pruning/solving/inverse.h"
#include "kernels/blas.h"
#include "kernels/gemm.h"

#include <lapacke.h>
#include <math.h>
#include <string.h>

// To LAPACK, which counts down the columns, 'L' is the half on and above our diagonal.
static bool invert_tile(double *tile, size_t n)
{
    bool done = true;

    for (size_t j = 0; j < n && done; j++)
        done = isfinite(tile[j * n + j]);
    blas_use_one_thread(); // the bits of BLIS's small products change with its threads
    done = done && LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, tile, (lapack_int)n) == 0 &&
           LAPACKE_dpotri_work(LAPACK_COL_MAJOR, 'L', (lapack_int)n, tile, (lapack_int)n) == 0;
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

// B_k is in tiles of row k to the right of the pivot, and transposed in those of column k above it.
// Afterwards row k has P B_k, and column k B_k transposed.
void inverse_across(double *matrix, size_t in, size_t k, size_t j, double *workspace)
{
    const size_t n = tile_size(in, k), columns = tile_size(in, j);
    const double *pivot = tile_at(matrix, in, k, k);
    double *across = tile_at(matrix, in, k, j), *down = tile_at(matrix, in, j, k);

    if (j < k) {
        gemm_nt_f64(across, in, pivot, in, down, in, n, columns, n);
        return;
    }
    tile_transpose(down, in, across, in, n, columns);
    tile_copy(workspace, columns, across, in, n, columns);
    gemm_nn_f64(across, in, pivot, in, workspace, columns, n, columns, n, 1);
}

static void negate_tile(double *tile, size_t stride, size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            tile[i * stride + j] = -tile[i * stride + j];
}

// B_ij -= B_ik (P B_kj) for j >= i; then B_ik <- (P B_ki)^T, and -P in the pivot's own place.
void inverse_down(double *matrix, size_t in, size_t k, size_t i, double *workspace)
{
    const size_t rows = tile_size(in, i), n = tile_size(in, k), own = i * MATRIX_TILE;
    const size_t before = k * MATRIX_TILE, after = own > before ? own : before + n;
    const double *across = matrix + before * in;
    double *row = matrix + own * in;

    if (i == k) {
        negate_tile(row + own, in, n, n);
        return;
    }
    tile_copy(workspace, n, row + before, in, rows, n);
    if (own < before)
        gemm_subtract_f64(row + own, in, workspace, n, across + own, in, rows, before - own, n);
    if (after < in)
        gemm_subtract_f64(row + after, in, workspace, n, across + after, in, rows, in - after, n);
    if (own < before)
        tile_transpose(row + before, in, across + own, in, n, rows);
}

void inverse_mirror(double *matrix, size_t in, size_t i)
{
    const size_t rows = tile_size(in, i), own = i * MATRIX_TILE, after = own + rows;
    double *row = matrix + own * in;

    negate_tile(row + own, in, rows, in - own);
    for (size_t j = 0; j < rows; j++)
        for (size_t l = 0; l < j; l++)
            row[j * in + own + l] = row[l * in + own + j];
    tile_transpose(matrix + after * in + own, in, row + after, in, rows, in - after);
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
            inverse_down(matrix, in, k, i, workspace);
    }
    for (size_t i = 0; i < tiles; i++)
        inverse_mirror(matrix, in, i);
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
