// inverse.h - the inverse of a symmetric positive definite matrix in double, in place, by symmetric sweeps
// over the tiles of its diagonal, cut into tiles that ranks share out (kernels/METHOD.md §17). Pivots need no
// exchange: the matrix is positive definite.
//
//     for (size_t k = 0; k < matrix_tiles(in); k++) {
//         inverse_pivot(matrix, in, k, workspace)        by one rank;                           synchronise
//         inverse_across(matrix, in, k, j, workspace)    for every j != k, by whoever it is;    synchronise
//         inverse_down(matrix, in, k, i, workspace)      for every i, by whoever it is;         synchronise
//     }
//     inverse_mirror(matrix, in, i)                      for every i, by whoever it is;         synchronise
//     diagonal_is_positive(matrix, in)
//
// After the sweeps over a set S of tiles, with U the others, the matrix is B with B_SS = -A_SS^-1, B_SU =
// A_SS^-1 A_SU and B_UU = A_UU - A_US A_SS^-1 A_SU: symmetric, so that the tiles on and above the diagonal
// suffice, and half of the products. A product's sizes depend on `in` alone, so the bits do not depend on who
// does what.
#pragma once
#include "kernels/pruning/solving/tiles.h"
#include <stdbool.h>

// The k-th tile of the diagonal <- its inverse; of NaN when it is not positive definite or not finite, which
// then spreads over the matrix. On one thread.
void inverse_pivot(double *matrix, size_t in, size_t k, double *workspace);
// The tile k down and j across, once the pivot is done, and that j down and k across.
void inverse_across(double *matrix, size_t in, size_t k, size_t j, double *workspace);
// The rows of tile i from the diagonal on, once all tiles across are done.
void inverse_down(double *matrix, size_t in, size_t k, size_t i, double *workspace);
// The rows of tile i <- the inverse from the diagonal on, and its columns below, once all sweeps are done.
void inverse_mirror(double *matrix, size_t in, size_t i);

// All of it by one rank; whether it succeeded.
bool inverse_alone(double *matrix, size_t in, double *workspace);

// The rows [first, first + count) as float32, each in the first half of its own place: row i is then at
// (float *)matrix + 2 in i.
void inverse_narrow(double *matrix, size_t in, size_t first, size_t count);
