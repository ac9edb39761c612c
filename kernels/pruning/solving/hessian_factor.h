// hessian_factor.h - the factor of a Hessian (second_order.h), in place, cut into tiles that ranks share out
// (kernels/METHOD.md §6).
//
// H = R R^T with R upper triangular, and U = R^-1 is the Cholesky factor of H^-1, found without forming H^-1.
// Tiles of the diagonal are taken from the last to the first:
//
//     for (size_t k = matrix_tiles(in); k-- > 0;) {
//         hessian_factor_pivot(matrix, in, k, workspace)   by one rank; synchronise
//         hessian_factor_across(matrix, in, k, j, workspace)   for every j != k, by whoever it is;
//         synchronise hessian_factor_down(matrix, in, k, i, workspace)     for every i < k, by whoever it is;
//         synchronise
//     }
//     diagonal_is_positive(matrix, in)
//
// What lies below the diagonal is never read as a part of H, and means nothing afterwards: in between it
// holds tiles of R.
#pragma once
#include "kernels/pruning/solving/tiles.h"
#include <stdbool.h>

// The k-th tile of the diagonal <- its part of U; NaN when what is left of H is not positive definite or not
// finite, which then spreads over U. On one thread.
void hessian_factor_pivot(double *matrix, size_t in, size_t k, double *workspace);
// Whether the last pivot was positive definite: if not there is no need to go on.
bool hessian_factor_pivot_succeeded(const double *matrix, size_t in, size_t k);
// The tile of U in row k and column j > k, or the tile of R in row j < k and column k.
void hessian_factor_across(double *matrix, size_t in, size_t k, size_t j, double *workspace);
// The rows of tile i < k, once all tiles across are done.
void hessian_factor_down(double *matrix, size_t in, size_t k, size_t i, double *workspace);

// All of it by one rank. False when H is not positive definite in double, or not finite: then the contents
// mean nothing.
bool hessian_factor_alone(double *matrix, size_t in, double *workspace);
