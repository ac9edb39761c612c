// second_order.h - pruning by the optimal brain surgeon with one Hessian for all rows (SparseGPT, Frantar and
// Alistarh, ICML 2023; kernels/METHOD.md §6).
//
// H[in, in] = (2 / N) sum x x^T over the inputs x of a linear, N the number of sequences; it is kept as its
// upper triangle, row-major, and what lies below means nothing. U is the upper triangular factor with
// H^-1 = U^T U and a positive diagonal (hessian_factor.h). Everything is in double.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Rows of H that are summed by one call of hessian_add: the products have the same sizes whoever computes
// them, and so the same bits.
enum { HESSIAN_ROWS = 64 };

// hessian[count, in] are the rows [first, first + count) of H; adds sum_t x_tj x_tk of x[tokens, in] to the
// columns k >= first: the products of one sequence are summed in float32 (kernels/gemm.h), sequences in
// double, so that the order of the calls fixes the bits. count <= HESSIAN_ROWS; product has room for count *
// in floats.
void hessian_add(double *hessian, float *product, const float *x, size_t tokens, size_t in, size_t first,
                 size_t count);

// Prepares H for the factorisation, as the source does: a channel that was never active (H_jj = 0) is marked
// in dead[in] and gets H_jj = 1; then damping * mean_j H_jj is added to the diagonal. Returns the number of
// dead channels.
size_t hessian_damp(double *hessian, uint8_t *dead, size_t in, double damping);

// Columns are pruned in blocks from the left; the columns to the right of a block are corrected when it is
// done.
enum { SECOND_ORDER_COLUMNS = 128 };
// Columns of one block: SECOND_ORDER_COLUMNS, or with a pattern the largest multiple of `of` below.
size_t second_order_width(size_t of);

// scores[count] = w_j^2 / U_jj^2 of one row[count] of weights as corrected so far; diagonal[count] = U_jj.
// Rounded once to float32, so that the selections of select.h apply.
void second_order_scores(float *scores, const double *row, const double *diagonal, size_t count);

// One row's columns of one block. weights[count] with the corrections of the blocks before; block[count,
// count] the block's part of U, contiguous; keep[count] is 0 where the weight is pruned: given when of == 0,
// else decided here, group after group of `of` columns, from the weights as corrected so far (the n largest
// scores are kept, of equal ones the lower column is pruned); on entry it is then 0 where a weight must be
// pruned whatever its score, else 1. Sets weights to what stays, 0 where pruned, and
// errors[count] to e_j = w_j / U_jj where pruned, else 0; the caller corrects the columns to the right by
// them.
void second_order_prune(double *weights, double *errors, uint8_t *keep, const double *block, size_t count,
                        size_t n, size_t of);
