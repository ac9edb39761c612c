#include "kernels/gemm.h"
#include "kernels/bf16_gemm.h"
#include "kernels/blas.h"
#include "kernels/threads.h"

#include <stdlib.h>

// ---- pieces ----------------------------------------------------------------------------------------------

// A product, cut into a grid of pieces [rows, columns] of c.
struct pieces {
    const struct blas_gemm *whole;
    const void *a, *b;
    void *c;
    size_t size; // bytes of an element
    size_t rows, columns, across;
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void multiply_pieces(const void *context, size_t first, size_t count, size_t thread)
{
    const struct pieces *pieces = context;
    const struct blas_gemm *whole = pieces->whole;

    (void)thread;
    for (size_t p = first; p < first + count; p++) {
        const size_t i = p / pieces->across * pieces->rows, j = p % pieces->across * pieces->columns;
        struct blas_gemm piece = *whole;
        piece.m = smaller(pieces->rows, whole->m - i);
        piece.n = smaller(pieces->columns, whole->n - j);
        const char *a =
            (const char *)pieces->a + pieces->size * i * (whole->transpose_a ? 1 : whole->a_stride);
        const char *b =
            (const char *)pieces->b + pieces->size * j * (whole->transpose_b ? whole->b_stride : 1);
        char *c = (char *)pieces->c + pieces->size * (i * whole->c_stride + j);
        if (pieces->size == sizeof(float))
            blas_gemm_f32((float *)(void *)c, (const float *)(const void *)a, (const float *)(const void *)b,
                          &piece);
        else
            blas_gemm_f64((double *)(void *)c, (const double *)(const void *)a,
                          (const double *)(const void *)b, &piece);
    }
}

// n cut into so many parts, in units that fill the kernels' registers.
static size_t part_of(size_t n, size_t parts)
{
    enum { UNIT = 96 };
    const size_t part = (n + parts - 1) / parts;
    return smaller(n, (part + UNIT - 1) / UNIT * UNIT);
}

// The grid in which the slowest thread is done first. To bring an element of a or b into the kernels' order
// takes as long as some 18 multiplications and additions, and every piece does so for its own rows and
// columns.
static void cut(struct pieces *pieces, size_t m, size_t n, size_t threads)
{
    enum { PACKING = 18 };
    double best = 0;

    for (size_t down = 1; down <= threads; down++) {
        const size_t rows = part_of(m, down), columns = part_of(n, (threads + down - 1) / down);
        const size_t across = (n + columns - 1) / columns, count = (m + rows - 1) / rows * across;
        const double piece = (double)rows * (double)columns + PACKING * (double)(rows + columns);
        const double time = piece * (double)((count + threads - 1) / threads);
        if (down > 1 && time >= best)
            continue;
        best = time;
        pieces->rows = rows;
        pieces->columns = columns;
        pieces->across = across;
    }
}

static void multiply(void *c, const void *a, const void *b, const struct blas_gemm *gemm, size_t size)
{
    // Multiplications and additions that are worth a thread.
    const double worth = 2e6, work = (double)gemm->m * (double)gemm->n * (double)gemm->k;
    const size_t threads = work < worth * (double)threads_count() ? (size_t)(work / worth) : threads_count();
    struct pieces pieces = {gemm, a, b, c, size, gemm->m, gemm->n, 1};

    if (threads > 1)
        cut(&pieces, gemm->m, gemm->n, threads);
    const size_t down = pieces.rows > 0 ? (gemm->m + pieces.rows - 1) / pieces.rows : 0;
    threads_share(down * pieces.across, 1, multiply_pieces, &pieces);
}

static void multiply_f32(float *c, const float *a, const float *b, const struct blas_gemm *gemm)
{
    multiply(c, a, b, gemm, sizeof *c);
}

static void multiply_f64(double *c, const double *a, const double *b, const struct blas_gemm *gemm)
{
    multiply(c, a, b, gemm, sizeof *c);
}

// ---- products --------------------------------------------------------------------------------------------

// c[m, n] = a[m, k] b[k, n]; the others differ from it in a member or two.
static struct blas_gemm product(size_t m, size_t n, size_t k, size_t c_stride, size_t a_stride,
                                size_t b_stride)
{
    return (struct blas_gemm){
        .m = m, .n = n, .k = k, .c_stride = c_stride, .a_stride = a_stride, .b_stride = b_stride, .alpha = 1};
}

void gemm_nt(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k, float scale)
{
    gemm_nt_as(COMPUTE_FLOAT32, c, c_stride, a, a_stride, b, b_stride, m, n, k, scale);
}

void gemm_nt_as(enum compute compute, float *c, size_t c_stride, const float *a, size_t a_stride,
                const float *b, size_t b_stride, size_t m, size_t n, size_t k, float scale)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.transpose_b = true;
    gemm.alpha = (double)scale;
    if (compute == COMPUTE_FLOAT32)
        multiply_f32(c, a, b, &gemm);
    else
        bf16_gemm(c, a, b, &gemm, compute);
}

void gemm_nn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k)
{
    const struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    multiply_f32(c, a, b, &gemm);
}

void gemm_add_nn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
                 size_t m, size_t n, size_t k)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.beta = 1;
    multiply_f32(c, a, b, &gemm);
}

void gemm_tn(float *c, size_t c_stride, const float *a, size_t a_stride, const float *b, size_t b_stride,
             size_t m, size_t n, size_t k)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.transpose_a = true;
    multiply_f32(c, a, b, &gemm);
}

void gemm_subtract_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                       size_t b_stride, size_t m, size_t n, size_t k)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.alpha = -1;
    gemm.beta = 1;
    multiply_f64(c, a, b, &gemm);
}

void gemm_nn_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                 size_t b_stride, size_t m, size_t n, size_t k, double scale)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.alpha = scale;
    multiply_f64(c, a, b, &gemm);
}

void gemm_nt_f64(double *c, size_t c_stride, const double *a, size_t a_stride, const double *b,
                 size_t b_stride, size_t m, size_t n, size_t k)
{
    struct blas_gemm gemm = product(m, n, k, c_stride, a_stride, b_stride);

    gemm.transpose_b = true;
    multiply_f64(c, a, b, &gemm);
}

enum { PROBE_SIDE = 64 };

// Products that keep a thread for as long as the others need to have theirs in hand.
static void multiply_probes(const void *context, size_t first, size_t count, size_t thread)
{
    enum { TIMES = 20 };
    const double *wide = context;
    const float *narrow = context;
    double wide_product[PROBE_SIDE * PROBE_SIDE] = {0};
    float narrow_product[PROBE_SIDE * PROBE_SIDE];

    (void)first;
    (void)thread;
    for (size_t i = 0; i < count * TIMES; i++) {
        gemm_nn(narrow_product, PROBE_SIDE, narrow, PROBE_SIDE, narrow, PROBE_SIDE, PROBE_SIDE, PROBE_SIDE,
                PROBE_SIDE);
        gemm_subtract_f64(wide_product, PROBE_SIDE, wide, PROBE_SIDE, wide, PROBE_SIDE, PROBE_SIDE,
                          PROBE_SIDE, PROBE_SIDE);
    }
}

enum status gemm_prepare(struct error *err)
{
    // Of each thread a block of B that fills a last-level cache's share, and a block of A: 8.4 MB and 0.3 MB
    // on the machines that BLIS 0.9 knows, in either precision.
    const size_t bytes = ((size_t)16 << 20) + ((size_t)1 << 20);
    float *probe = NULL;
    double *factor = NULL;

    blas_use_one_thread();
    FORWARD_IF_ERROR(threads_start(err));
    FORWARD_IF_ERROR(
        allocate_aligned(&probe, bytes, threads_count(), "the packed blocks of matrix products", err));
    free(probe);
    FORWARD_IF_ERROR(
        allocate(&factor, PROBE_SIDE * PROBE_SIDE, sizeof *factor, "a first matrix product", err));
    threads_share(threads_count(), 1, multiply_probes, factor);
    free(factor);
    return STATUS_OK;
}

struct bias {
    float *y;
    size_t stride;
    const struct linear *linear;
};

static void add_bias(const void *context, size_t first, size_t count, size_t thread)
{
    const struct bias *bias = context;

    (void)thread;
    for (size_t t = first; t < first + count; t++) {
        float *row = bias->y + t * bias->stride;
        for (size_t i = 0; i < bias->linear->out; i++)
            row[i] += bias->linear->bias[i];
    }
}

void linear_forward(float *y, size_t y_stride, const struct linear *linear, const float *x, size_t tokens)
{
    gemm_nt_as(linear->compute, y, y_stride, x, linear->in, linear->weight, linear->in, tokens, linear->out,
               linear->in, 1.0F);
    if (linear->bias != NULL)
        threads_share(tokens, threads_grain(linear->out), add_bias, &(struct bias){y, y_stride, linear});
}

struct linear linear_slice(const struct linear *linear, size_t first, size_t count)
{
    struct linear slice = *linear;
    slice.out = count;
    slice.weight += first * linear->in;
    if (linear->bias != NULL)
        slice.bias = linear->bias + first;
    return slice;
}
