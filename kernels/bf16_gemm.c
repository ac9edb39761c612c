#include "kernels/bf16_gemm.h"

#include "kernels/dtype.h"
#include "kernels/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A panel of a, [ROWS, DEPTH], is rounded once for all columns, and one of b, [COLUMNS, DEPTH], once for
// these rows. DEPTH decides where sums are cut.
enum { ROWS = 512, COLUMNS = BF16_COLUMNS, DEPTH = 2048 };

// A panel in the arithmetic's own numbers. As bfloat16: [row tile][step][rows of a tile, BF16_DEPTH].
union panel {
    float *f32;
    uint16_t *bf16;
};

// What is kept from product to product; a thread's panel of b and tile of c are its own.
static struct {
    union panel a;
    size_t threads;
    float *each;                                // [threads][PER_THREAD]: a panel of b, then a tile
    size_t prepared[COMPUTE_BF16_EMULATED + 1]; // for so many threads, of each arithmetic
} room;
enum { PANEL_B = COLUMNS * DEPTH, TILE = BF16_ROWS * BF16_COLUMNS, PER_THREAD = PANEL_B + TILE };

static union panel panel_b(size_t thread)
{
    return (union panel){.f32 = room.each + thread * PER_THREAD};
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Part of a matrix: its rows and columns from `origin` on.
struct part {
    const float *origin;
    size_t rows, columns, stride;
};

// A panel of a by all of b: the columns first ... of c are work for one thread, a tile at a time.
struct share {
    float *c;
    const float *b;
    struct part a;
    struct blas_gemm gemm; // m and k of the panel, n of the whole
    enum compute compute;
};

// ---- by the BLAS ---------------------------------------------------------------------------------------

static void round_part(float *out, const struct part *part, size_t first, size_t count)
{
    for (size_t r = first; r < first + count; r++)
        bf16_round(out + r * part->columns, part->origin + r * part->stride, part->columns);
}

// c = alpha * a b^T + beta * c for two panels.
static void multiply_emulated(float *c, const struct blas_gemm *gemm, size_t thread)
{
    struct blas_gemm panels_only = *gemm;

    panels_only.a_stride = panels_only.b_stride = gemm->k;
    blas_gemm_f32(c, room.a.f32, panel_b(thread).f32, &panels_only);
}

// ---- by the processor's instructions -------------------------------------------------------------------

static size_t tiles(size_t size, size_t tile_size)
{
    return (size + tile_size - 1) / tile_size;
}

// The rows first ... of out[row tile][step][tile_rows, BF16_DEPTH] <- those of the part, zeros beyond it.
static void pack_part(uint16_t *out, const struct part *part, size_t tile_rows, size_t first, size_t count)
{
    const size_t steps = tiles(part->columns, BF16_DEPTH);

    for (size_t r = first; r < first + count; r++)
        for (size_t step = 0; step < steps; step++) {
            const size_t column = step * BF16_DEPTH;
            const size_t there = r < part->rows ? smaller(part->columns - column, BF16_DEPTH) : 0;
            uint16_t *row =
                out + ((r / tile_rows * steps + step) * tile_rows + r % tile_rows) * (size_t)BF16_DEPTH;
            dtype_from_f32(row, part->origin + r * part->stride + column, DTYPE_BF16, there);
            memset(row + there, 0, (BF16_DEPTH - there) * sizeof *row);
        }
}

// c = alpha * a b^T + beta * c for two panels.
static void multiply_tiles(float *c, const struct blas_gemm *gemm, size_t thread)
{
    const size_t steps = tiles(gemm->k, BF16_DEPTH);
    const float alpha = (float)gemm->alpha;
    float *tile = panel_b(thread).f32 + PANEL_B;

    for (size_t first = 0; first < gemm->m; first += BF16_ROWS) {
        memset(tile, 0, TILE * sizeof *tile);
        bf16_unit_multiply(tile, room.a.bf16 + first * steps * BF16_DEPTH, panel_b(thread).bf16, steps,
                           thread);
        for (size_t r = 0; r < smaller(gemm->m - first, BF16_ROWS); r++) {
            float *row = c + (first + r) * gemm->c_stride;
            for (size_t i = 0; i < gemm->n; i++)
                row[i] = gemm->beta != 0 ? row[i] + alpha * tile[r * BF16_COLUMNS + i]
                                         : alpha * tile[r * BF16_COLUMNS + i];
        }
    }
}

// ---- panels --------------------------------------------------------------------------------------------

static void load_a(const void *context, size_t first, size_t count, size_t thread)
{
    const struct share *share = context;

    (void)thread;
    if (share->compute == COMPUTE_BF16)
        pack_part(room.a.bf16, &share->a, BF16_ROWS, first, count);
    else
        round_part(room.a.f32, &share->a, first, count);
}

static void multiply_columns(const void *context, size_t first, size_t count, size_t thread)
{
    const struct share *share = context;
    struct blas_gemm now = share->gemm;

    for (size_t column = first * COLUMNS; column < smaller((first + count) * COLUMNS, share->gemm.n);
         column += COLUMNS) {
        now.n = smaller(share->gemm.n - column, COLUMNS);
        const struct part b = {share->b + column * now.b_stride, now.n, now.k, now.b_stride};
        if (share->compute == COMPUTE_BF16) {
            pack_part(panel_b(thread).bf16, &b, COLUMNS, 0, COLUMNS);
            multiply_tiles(share->c + column, &now, thread);
        } else {
            round_part(panel_b(thread).f32, &b, 0, now.n);
            multiply_emulated(share->c + column, &now, thread);
        }
    }
}

// By one thread, where there is no room for more.
static void do_all(size_t items, size_t grain, threads_work *work, const struct share *share)
{
    if (threads_count() > room.prepared[share->compute])
        work(share, 0, items, 0);
    else
        threads_share(items, grain, work, share);
}

void bf16_gemm(float *c, const float *a, const float *b, const struct blas_gemm *gemm, enum compute compute)
{
    for (size_t row = 0; row < gemm->m; row += ROWS)
        for (size_t depth = 0; depth < gemm->k; depth += DEPTH) {
            struct share share = {c + row * gemm->c_stride, b + depth, {0}, *gemm, compute};
            share.gemm.m = smaller(gemm->m - row, ROWS);
            share.gemm.k = smaller(gemm->k - depth, DEPTH);
            share.gemm.beta = depth > 0 ? 1 : 0;
            share.a =
                (struct part){a + row * gemm->a_stride + depth, share.gemm.m, share.gemm.k, gemm->a_stride};
            const size_t rows =
                compute == COMPUTE_BF16 ? tiles(share.gemm.m, BF16_ROWS) * BF16_ROWS : share.gemm.m;
            do_all(rows, threads_grain(share.gemm.k), load_a, &share);
            do_all(tiles(gemm->n, COLUMNS), 1, multiply_columns, &share);
        }
}

// ---- which can be had ----------------------------------------------------------------------------------

enum status compute_prepare(enum compute compute, struct error *err)
{
    const size_t threads = threads_count();

    if (compute == COMPUTE_FLOAT32)
        return STATUS_OK;
    if (compute == COMPUTE_BF16)
        FORWARD_IF_ERROR(bf16_unit_prepare(threads, err));
    if (room.a.f32 == NULL)
        FORWARD_IF_ERROR(allocate_aligned(&room.a.f32, (size_t)ROWS * DEPTH, sizeof *room.a.f32,
                                          "operands in bfloat16", err));
    if (threads > room.threads) {
        float *each;
        FORWARD_IF_ERROR(
            allocate_aligned(&each, threads * PER_THREAD, sizeof *each, "operands in bfloat16", err));
        free(room.each);
        room.each = each;
        room.threads = threads;
    }
    if (threads > room.prepared[compute])
        room.prepared[compute] = threads;
    return STATUS_OK;
}

void compute_name(char *name, size_t size, enum compute compute)
{
    if (compute == COMPUTE_BF16)
        bf16_unit_name(name, size);
    else
        snprintf(name, size, compute == COMPUTE_FLOAT32 ? "float32" : "the BLAS, emulated");
}
