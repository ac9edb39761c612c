// tiles.h - a square matrix cut into tiles that ranks share out (inverse.h, hessian_factor.h): the products
// of tiles have the same sizes whoever computes them.
#pragma once
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { MATRIX_TILE = 256 };
// Doubles of a rank's scratch memory, aligned to 64 bytes.
enum { TILE_WORKSPACE = MATRIX_TILE * MATRIX_TILE };

// Tiles along one side of a matrix [in, in]; the last may be smaller.
static inline size_t matrix_tiles(size_t in)
{
    return (in + MATRIX_TILE - 1) / MATRIX_TILE;
}

// Columns or rows of the k-th tile.
static inline size_t tile_size(size_t in, size_t k)
{
    const size_t left = in - k * MATRIX_TILE;

    return left < MATRIX_TILE ? left : MATRIX_TILE;
}

// The tile i down and j across.
static inline double *tile_at(double *matrix, size_t in, size_t i, size_t j)
{
    return matrix + i * MATRIX_TILE * in + j * MATRIX_TILE;
}

// to[rows, columns] <- from, with strides.
static inline void tile_copy(double *to, size_t to_stride, const double *from, size_t from_stride,
                             size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i++)
        memcpy(to + i * to_stride, from + i * from_stride, columns * sizeof *to);
}

// to[columns, rows] <- from[rows, columns] transposed, with strides; in squares of one cache line a row, as
// whole columns of a wide matrix fall into few sets of a cache.
static inline void tile_transpose(double *to, size_t to_stride, const double *from, size_t from_stride,
                                  size_t rows, size_t columns)
{
    enum { SIDE = 8 };

    for (size_t top = 0; top < rows; top += SIDE)
        for (size_t left = 0; left < columns; left += SIDE)
            for (size_t j = left; j < columns && j < left + SIDE; j++)
                for (size_t i = top; i < rows && i < top + SIDE; i++)
                    to[j * to_stride + i] = from[i * from_stride + j];
}

// Whether the diagonal is finite and positive, as that of an inverse or a factor is: if not, what it was made
// from is not positive definite in double.
static inline bool diagonal_is_positive(const double *matrix, size_t in)
{
    bool done = true;

    for (size_t j = 0; j < in && done; j++)
        done = isfinite(matrix[j * in + j]) && matrix[j * in + j] > 0;
    return done;
}
