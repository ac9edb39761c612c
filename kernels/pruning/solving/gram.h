// gram.h - products of input channels with input channels, summed over the tokens (kernels/METHOD.md §15):
// for least squares towards the outputs of the dense model.
//
//     G[in, in] = sum_t xhat_tj xhat_tk      C[in, in] = sum_t xhat_tj x_tk
//
// in double, row-major. They are summed in tiles, square but at the edges, so that the products have the same
// sizes whoever computes them, and so the same bits.
#pragma once
#include <stddef.h>

// Rows and columns of a tile: a multiple of the tiles of BLIS's kernels. In blocks of 64 rows packing takes
// half of the time; larger tiles than this gain little, and there are fewer of them to share out.
enum { GRAM_TILE = 384 };

// Rows [row, row + rows) and columns [column, column + columns).
struct gram_tile {
    size_t row, column, rows, columns;
};

// Tiles along one side of a matrix [in, in].
size_t gram_tiles(size_t in);
// The i-th down and the j-th across.
struct gram_tile gram_tile_at(size_t in, size_t i, size_t j);

// matrix[in, in] += left[tokens, in]^T right[tokens, in] within the tile. The tokens are summed in float32
// (kernels/gemm.h), calls in double. product: room for GRAM_TILE * GRAM_TILE floats.
void gram_add(double *matrix, float *product, const float *left, const float *right, size_t tokens, size_t in,
              const struct gram_tile *tile);
// sum[columns of the tile] += sum_t x[tokens, in] of the tile's columns: token after token in double, then
// added to the sum.
void gram_add_sums(double *sum, const float *x, size_t tokens, size_t in, const struct gram_tile *tile);
// Copies a tile on or above the diagonal of the symmetric matrix[in, in] to its place below.
void gram_mirror(double *matrix, size_t in, const struct gram_tile *tile);
