#include "kernels/pruning/solving/gram.h"
#include "kernels/gemm.h"
#include "kernels/simd.h"
#include "kernels/threads.h"

size_t gram_tiles(size_t in)
{
    return (in + GRAM_TILE - 1) / GRAM_TILE;
}

static size_t tile_length(size_t in, size_t first)
{
    return in - first < GRAM_TILE ? in - first : GRAM_TILE;
}

struct gram_tile gram_tile_at(size_t in, size_t i, size_t j)
{
    const size_t row = i * GRAM_TILE, column = j * GRAM_TILE;
    return (struct gram_tile){row, column, tile_length(in, row), tile_length(in, column)};
}

SIMD_CLONES
static void add_row(double *restrict sum, const float *restrict x, size_t n)
{
    for (size_t j = 0; j < n; j++)
        sum[j] += (double)x[j];
}

// Rows of a tile's products, and those of the sums that they are added to.
struct rows {
    double *sums;
    const float *products;
    size_t stride, width; // of the sums; of the products
};

static void add_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct rows *rows = context;

    (void)thread;
    for (size_t i = first; i < first + count; i++)
        add_row(rows->sums + i * rows->stride, rows->products + i * rows->width, rows->width);
}

void gram_add(double *matrix, float *product, const float *left, const float *right, size_t tokens, size_t in,
              const struct gram_tile *tile)
{
    gemm_tn(product, tile->columns, left + tile->row, in, right + tile->column, in, tile->rows, tile->columns,
            tokens);
    threads_share(tile->rows, threads_grain(2 * tile->columns), add_rows,
                  &(struct rows){matrix + tile->row * in + tile->column, product, in, tile->columns});
}

void gram_add_sums(double *sum, const float *x, size_t tokens, size_t in, const struct gram_tile *tile)
{
    double sequence[GRAM_TILE] = {0};

    for (size_t t = 0; t < tokens; t++)
        add_row(sequence, x + t * in + tile->column, tile->columns);
    for (size_t j = 0; j < tile->columns; j++)
        sum[j] += sequence[j];
}

void gram_mirror(double *matrix, size_t in, const struct gram_tile *tile)
{
    enum { SIDE = 16 }; // a square of the source and one of the target stay in cache

    for (size_t top = 0; top < tile->rows; top += SIDE)
        for (size_t left = 0; left < tile->columns; left += SIDE)
            for (size_t i = tile->row + top; i < tile->row + tile->rows && i < tile->row + top + SIDE; i++)
                for (size_t j = tile->column + left;
                     j < tile->column + tile->columns && j < tile->column + left + SIDE; j++)
                    if (j > i)
                        matrix[j * in + i] = matrix[i * in + j];
}
