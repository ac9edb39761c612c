#include "kernels/pruning/solving/hessian_factor.h"
#include "kernels/blas.h"
#include "kernels/gemm.h"

#include <lapacke.h>
#include <math.h>

// Element k of a row-major matrix and element n * n - 1 - k change places: rows and columns are both
// reversed, and upper and lower triangle are exchanged.
static void reverse(double *matrix, size_t n)
{
    const size_t last = n * n - 1;

    for (size_t k = 0; k < last - k; k++) {
        const double swapped = matrix[k];
        matrix[k] = matrix[last - k];
        matrix[last - k] = swapped;
    }
}

// P reverses: P H P = L L^T gives H = (P L P) (P L P)^T with P L P upper triangular, whose inverse P L^-1 P
// is U. To LAPACK, which counts down the columns, a lower triangle of ours is an upper one.
static bool factor_tile(double *tile, size_t n)
{
    bool done = true;

    for (size_t j = 0; j < n && done; j++)
        done = isfinite(tile[j * n + j]);
    if (!done)
        return false;
    reverse(tile, n);
    blas_use_one_thread(); // the bits of BLIS's small products change with its threads
    done = LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (lapack_int)n, tile, (lapack_int)n) == 0 &&
           LAPACKE_dtrtri_work(LAPACK_COL_MAJOR, 'U', 'N', (lapack_int)n, tile, (lapack_int)n) == 0;
    reverse(tile, n);
    return done;
}

void hessian_factor_pivot(double *matrix, size_t in, size_t k, double *workspace)
{
    const size_t n = tile_size(in, k);
    double *pivot = tile_at(matrix, in, k, k);

    tile_copy(workspace, n, pivot, in, n, n);
    const bool done = factor_tile(workspace, n);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            pivot[i * in + j] = !done ? NAN : j < i ? 0 : workspace[i * n + j];
}

bool hessian_factor_pivot_succeeded(const double *matrix, size_t in, size_t k)
{
    return !isnan(matrix[k * MATRIX_TILE * (in + 1)]);
}

// Until its own pivot comes, row i holds H less what the tiles of R to the right have explained, up to column
// k; and right of it -(R U), which the pivot will turn into U.
void hessian_factor_across(double *matrix, size_t in, size_t k, size_t j, double *workspace)
{
    const size_t n = tile_size(in, k), columns = tile_size(in, j);
    const double *pivot = tile_at(matrix, in, k, k);
    double *tile = tile_at(matrix, in, k, j);

    if (j < k) { // R_jk = H_jk U_kk^T, kept transposed below the diagonal
        gemm_nt_f64(tile, in, pivot, in, tile_at(matrix, in, j, k), in, n, columns, n);
        return;
    }
    tile_copy(workspace, columns, tile, in, n, columns);
    gemm_nn_f64(tile, in, pivot, in, workspace, columns, n, columns, n, 1);
}

// With the tile R = R_ik: H_ij -= R R_jk^T for i <= j < k, -(R U)_ij for j >= k.
void hessian_factor_down(double *matrix, size_t in, size_t k, size_t i, double *workspace)
{
    const size_t rows = tile_size(in, i), n = tile_size(in, k), own = i * MATRIX_TILE;
    const size_t before = k * MATRIX_TILE, after = before + n;
    const double *across = matrix + before * in;
    double *row = matrix + own * in;

    tile_transpose(workspace, n, across + own, in, n, rows);
    gemm_subtract_f64(row + own, in, workspace, n, across + own, in, rows, before - own, n);
    gemm_nn_f64(row + before, in, workspace, n, across + before, in, rows, n, n, -1);
    if (after < in)
        gemm_subtract_f64(row + after, in, workspace, n, across + after, in, rows, in - after, n);
}

bool hessian_factor_alone(double *matrix, size_t in, double *workspace)
{
    const size_t tiles = matrix_tiles(in);

    for (size_t k = tiles; k-- > 0;) {
        hessian_factor_pivot(matrix, in, k, workspace);
        if (!hessian_factor_pivot_succeeded(matrix, in, k))
            return false;
        for (size_t j = 0; j < tiles; j++)
            if (j != k)
                hessian_factor_across(matrix, in, k, j, workspace);
        for (size_t i = 0; i < k; i++)
            hessian_factor_down(matrix, in, k, i, workspace);
    }
    return diagonal_is_positive(matrix, in);
}
