// inverse.h - the inverse of a symmetric positive definite matrix in double, in place, by block Gauss-Jordan
// elimination, cut into tiles that ranks share out (kernels/METHOD.md §16). Pivots need no exchange: the
// matrix is positive definite.
//
//     for (size_t k = 0; k < matrix_tiles(in); k++) {
//         inverse_pivot(matrix, in, k)                                     by one rank;         synchronise
//         inverse_across(matrix, in, k, j, workspace)    for every j != k, by whoever it is;    synchronise
//         inverse_down(matrix, in, k, i, workspace)      for every i != k, by whoever it is;    synchronise
//     }
//     diagonal_is_positive(matrix, in)
//
// A product's sizes depend on `in` alone, so the bits do not depend on who does what.
#pragma once
#include "kernels/pruning/tiles.h"
#include <stdbool.h>

// The k-th tile of the diagonal <- its inverse; of NaN when it is not positive definite or not finite, which
// then spreads over the matrix. On one thread.
void inverse_pivot(double *matrix, size_t in, size_t k, double *workspace);
// The tile k down and j across, once the pivot is done.
void inverse_across(double *matrix, size_t in, size_t k, size_t j, double *workspace);
// The rows of tile i, once all tiles across are done.
void inverse_down(double *matrix, size_t in, size_t k, size_t i, double *workspace);

// All of it by one rank; whether it succeeded.
bool inverse_alone(double *matrix, size_t in, double *workspace);

// The rows [first, first + count) as float32, each in the first half of its own place: row i is then at
// (float *)matrix + 2 in i.
void inverse_narrow(double *matrix, size_t in, size_t first, size_t count);
