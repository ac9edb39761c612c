// solving.h - a block of rows of a linear, and the pieces that least squares, ALPS and SparseGPT are made of,
// as work that bench.h times. A linear is many such blocks.
#pragma once
#include "kernels/gemm.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/solving/admm.h"
#include "kernels/pruning/solving/hessian_factor.h"
#include "kernels/pruning/solving/inverse.h"
#include "kernels/pruning/solving/least_squares.h"
#include "kernels/pruning/solving/second_order.h"
#include "tests/bench/bench.h"
#include "tests/support/random.h"

enum { ROWS = LEAST_SQUARES_ROWS, TOKENS = 512 };
// What ALPS took of each for the linears of a small model (kernels/METHOD.md §17).
enum { STEPS = 33, INVERSES = 9 };

struct problem {
    struct normal_equations equations;
    struct least_squares_rows rows;
    struct admm_rows admm;
    double *g, *wide, *target, *workspace;
    float *dense, *weights, *state;
    uint8_t *mask;
};

static inline void *memory(size_t count, size_t size)
{
    void *block;
    struct error err;

    if (allocate_aligned(&block, count, size, "the benchmark", &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    return block;
}

// G of TOKENS random inputs. (Correlations made by a formula would become denormal numbers, and those are
// slow.)
static inline struct problem problem_create(size_t in)
{
    struct random_state random = random_seed(1);
    struct problem p = {
        .g = memory(in * in, sizeof(double)),
        .wide = memory(in * in, sizeof(double)),
        .target = memory(ROWS * in, sizeof(double)),
        .workspace = memory(least_squares_workspace(in), sizeof(double)),
        .dense = memory(ROWS * in, sizeof(float)),
        .weights = memory(ROWS * in, sizeof(float)),
        .state = memory(ROWS * in, sizeof(float)),
        .mask = memory(ROWS, mask_row_bytes(in)),
    };

    float *x = memory(TOKENS * in, sizeof *x);
    random_fill(&random, x, TOKENS * in, 1);
    gemm_tn((float *)p.wide, in, x, in, x, in, in, in, TOKENS);
    for (size_t k = 0; k < in * in; k++)
        p.g[k] = (double)((float *)p.wide)[k];
    free(x);
    random_fill(&random, p.dense, ROWS * in, 0.02);
    p.equations = (struct normal_equations){.in = in,
                                            .lambda = normal_equations_lambda(p.g, in, 0.01),
                                            .g = p.g,
                                            .scale = memory(in, sizeof(double)),
                                            .scaled = memory(in * in, sizeof(float))};
    normal_equations_scale(&p.equations);
    normal_equations_fill(&p.equations, 0, in);
    least_squares_target(p.target, &p.equations, p.dense, ROWS, p.workspace);
    p.admm = (struct admm_rows){ROWS, p.dense, p.state, p.mask, NULL};
    admm_begin(&p.admm, &p.equations);
    admm_select(&p.admm, in, &(struct admm_selection){.prune = in / 2}, (float *)p.workspace);
    p.rows = (struct least_squares_rows){ROWS, p.target, p.mask, p.dense};
    return p;
}

static inline void problem_free(struct problem *p)
{
    void *const blocks[] = {p->g,     p->wide, p->target,  p->workspace,       p->dense,
                            p->state, p->mask, p->weights, p->equations.scale, p->equations.scaled};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
}

static inline void ten_steps(void *context)
{
    struct problem *p = context;
    struct least_squares_outcome outcomes[ROWS];

    least_squares_rows(p->weights, outcomes, &p->equations, &p->rows,
                       &(struct least_squares_limits){.steps = LEAST_SQUARES_STEPS}, p->workspace);
}

// The products of a block of rows alone: one in double, and one in float32. BLIS's own path for products of
// few rows, which gemm.h leaves out, is slower at these sizes.
static inline void bare_f64(void *context)
{
    struct problem *p = context;
    const size_t in = p->equations.in;

    gemm_nn_f64(p->workspace, in, p->target, in, p->g, in, ROWS, in, in, 1);
}

static inline void bare_f32(void *context)
{
    struct problem *p = context;
    const size_t in = p->equations.in;

    gemm_nn((float *)p->workspace, in, p->dense, in, p->equations.scaled, in, ROWS, in, in);
}

static inline void alps_step(void *context)
{
    struct problem *p = context;

    admm_step(&p->admm, &p->equations, (float *)p->wide, &(struct admm_penalty){0.1, 0.1},
              (float *)p->workspace);
    admm_select(&p->admm, p->equations.in, &(struct admm_selection){.prune = p->equations.in / 2},
                (float *)p->workspace);
}

static inline void invert(void *context)
{
    struct problem *p = context;

    const size_t in = p->equations.in;

    normal_equations_wide(p->wide, &p->equations, 0.1, 0, in);
    if (!inverse_alone(p->wide, in, p->workspace))
        exit(1);
    inverse_narrow(p->wide, in, 0, in);
}

static inline void factor_hessian(void *context)
{
    struct problem *p = context;
    const size_t in = p->equations.in;

    for (size_t k = 0; k < in * in; k++)
        p->wide[k] = p->g[k];
    for (size_t j = 0; j < in; j++)
        p->wide[j * in + j] += p->equations.lambda;
    if (!hessian_factor_alone(p->wide, in, p->workspace))
        exit(1);
}

// What SparseGPT does with ROWS rows, after factor_hessian.
static inline void second_order_rows(void *context)
{
    enum { WIDTH = SECOND_ORDER_COLUMNS };
    struct problem *p = context;
    const size_t in = p->equations.in;
    static double errors[ROWS * WIDTH], block[WIDTH * WIDTH], diagonal[WIDTH];
    static float scores[WIDTH];
    uint8_t bits[WIDTH / 8], keep[WIDTH];
    double *weights = p->workspace;

    for (size_t k = 0; k < ROWS * in; k++)
        weights[k] = (double)p->dense[k];
    for (size_t column = 0; column < in; column += WIDTH) {
        const size_t right = column + WIDTH;
        for (size_t j = 0; j < WIDTH; j++) {
            memcpy(block + j * WIDTH, p->wide + (column + j) * in + column, WIDTH * sizeof *block);
            diagonal[j] = block[j * WIDTH + j];
        }
        for (size_t i = 0; i < ROWS; i++) {
            double *row = weights + i * in + column;
            second_order_scores(scores, row, diagonal, WIDTH);
            select_row(bits, scores, WIDTH, WIDTH / 2);
            for (size_t j = 0; j < WIDTH; j++)
                keep[j] = bits[j / 8] >> j % 8 & 1;
            second_order_prune(row, errors + i * WIDTH, keep, block, WIDTH, 0, 0);
        }
        if (right < in)
            gemm_subtract_f64(weights + right, in, errors, WIDTH, p->wide + column * in + right, in, ROWS,
                              in - right, WIDTH);
    }
}

// What is timed of a linear's blocks, in this order: a correction needs the factor, a step the inverse.
enum piece { BARE_F64, BARE_F32, SOLVE, FACTOR, CORRECT, INVERSE, STEP, NUM_PIECES };
static inline void time_pieces(struct bench_times times[NUM_PIECES], struct problem *p, size_t count,
                               size_t rounds)
{
    const struct bench_work works[NUM_PIECES] = {
        [BARE_F64] = {bare_f64, p},
        [BARE_F32] = {bare_f32, p},
        [SOLVE] = {ten_steps, p},
        [STEP] = {alps_step, p},
        [INVERSE] = {invert, p},
        [FACTOR] = {factor_hessian, p},
        [CORRECT] = {second_order_rows, p},
    };

    bench_rounds(times, works, count, rounds);
}

// Least squares of `blocks` blocks of rows: all, or the products alone that it needs.
static inline void add_solving(struct bench_times *sum, const struct bench_times times[NUM_PIECES],
                               double blocks)
{
    bench_add(sum, &times[SOLVE], blocks);
}

static inline void add_bare_solving(struct bench_times *sum, const struct bench_times times[NUM_PIECES],
                                    double blocks)
{
    bench_add(sum, &times[BARE_F64], blocks);
    bench_add(sum, &times[BARE_F32], LEAST_SQUARES_STEPS * blocks);
}

// ALPS: its inverses, of in^3 operations, and for each block of rows its steps and a solution.
static inline void add_alps(struct bench_times *sum, const struct bench_times times[NUM_PIECES],
                            double blocks)
{
    bench_add(sum, &times[INVERSE], INVERSES);
    bench_add(sum, &times[STEP], STEPS * blocks);
    add_solving(sum, times, blocks);
}

static inline void add_bare_alps(struct bench_times *sum, const struct bench_times times[NUM_PIECES],
                                 double in, double blocks)
{
    bench_add(sum, &times[BARE_F64], INVERSES * in / (2 * ROWS));
    bench_add(sum, &times[BARE_F32], STEPS * blocks);
    add_bare_solving(sum, times, blocks);
}

// SparseGPT: a factor, of 2/3 in^3 operations, and ROWS in^2 for each block of rows.
static inline void add_sparsegpt(struct bench_times *sum, const struct bench_times times[NUM_PIECES],
                                 double blocks)
{
    bench_add(sum, &times[FACTOR], 1);
    bench_add(sum, &times[CORRECT], blocks);
}

static inline void add_bare_sparsegpt(struct bench_times *sum, const struct bench_times times[NUM_PIECES],
                                      double in, double blocks)
{
    bench_add(sum, &times[BARE_F64], in / (3 * ROWS) + blocks / 2);
}
