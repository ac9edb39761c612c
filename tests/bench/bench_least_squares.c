// bench_least_squares.c - least squares on a support, and ALPS beside SparseGPT, on one core. Rows are timed
// in one block; a linear is many of them.
#include "kernels/gemm.h"
#include "kernels/pruning/admm.h"
#include "kernels/pruning/hessian_factor.h"
#include "kernels/pruning/inverse.h"
#include "kernels/pruning/least_squares.h"
#include "kernels/pruning/second_order.h"
#include "kernels/pruning/select.h"
#include "tests/bench/bench.h"
#include "tests/support/random.h"

#include <cblas.h>

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

static void *memory(size_t count, size_t size)
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
static struct problem problem_create(size_t in)
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

static void problem_free(struct problem *p)
{
    void *const blocks[] = {p->g,     p->wide, p->target,  p->workspace,       p->dense,
                            p->state, p->mask, p->weights, p->equations.scale, p->equations.scaled};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
}

static void ten_steps(void *context)
{
    struct problem *p = context;
    struct least_squares_outcome outcomes[ROWS];

    least_squares_rows(p->weights, outcomes, &p->equations, &p->rows,
                       &(struct least_squares_limits){.steps = LEAST_SQUARES_STEPS}, p->workspace);
}

// The products of ten_steps alone, by BLIS itself: one in double, and one in float32 for each step.
static void bare_products(void *context)
{
    struct problem *p = context;
    const int in = (int)p->equations.in;

    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, ROWS, in, in, 1, p->target, in, p->g, in, 0,
                p->workspace, in);
    for (int step = 0; step < LEAST_SQUARES_STEPS; step++)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, ROWS, in, in, 1, p->dense, in,
                    p->equations.scaled, in, 0, (float *)p->workspace, in);
}

static void alps_step(void *context)
{
    struct problem *p = context;

    admm_step(&p->admm, &p->equations, (float *)p->wide, &(struct admm_penalty){0.1, 0.1},
              (float *)p->workspace);
    admm_select(&p->admm, p->equations.in, &(struct admm_selection){.prune = p->equations.in / 2},
                (float *)p->workspace);
}

static void invert(void *context)
{
    struct problem *p = context;

    const size_t in = p->equations.in;

    normal_equations_wide(p->wide, &p->equations, 0.1, 0, in);
    if (!inverse_alone(p->wide, in, p->workspace))
        exit(1);
    inverse_narrow(p->wide, in, 0, in);
}

static void factor_hessian(void *context)
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
static void second_order_rows(void *context)
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

static double once(void (*run)(void *context), struct problem *p)
{
    const double start = bench_seconds();
    run(p);
    return bench_seconds() - start;
}

static int repetitions_for(const struct problem *p)
{
    return p->equations.in <= 2048 ? 30 : 3;
}

// The least of a few runs.
static double seconds_of(void (*run)(void *context), struct problem *p)
{
    double best = INFINITY;
    for (int i = 0; i < repetitions_for(p); i++)
        best = fmin(best, once(run, p));
    return best;
}

// Of two things in turn, as a machine that becomes slower does so for both.
static void seconds_of_both(double *seconds, double *peer_seconds, void (*run)(void *context),
                            void (*peer)(void *context), struct problem *p)
{
    *seconds = *peer_seconds = INFINITY;
    for (int i = 0; i < repetitions_for(p); i++) {
        *peer_seconds = fmin(*peer_seconds, once(peer, p));
        *seconds = fmin(*seconds, once(run, p));
    }
}

static void least_squares(const struct bench *bench, size_t in)
{
    struct problem p = problem_create(in);
    char name[96];
    double ours, bare;

    seconds_of_both(&ours, &bare, ten_steps, bare_products, &p);
    snprintf(name, sizeof name, "least squares, %d x %zu, 10 steps, products / all", ROWS, in);
    bench_print(bench, name, 1e3 * bare, "ms", 1e3 * ours, 0.7, true);
    problem_free(&p);
}

static void alps(const struct bench *bench, size_t in)
{
    struct problem p = problem_create(in);
    const double blocks = (double)in / ROWS;
    const double inverse = seconds_of(invert, &p), step = seconds_of(alps_step, &p);
    const double refit = seconds_of(ten_steps, &p);
    const double factor = seconds_of(factor_hessian, &p), rows = seconds_of(second_order_rows, &p);
    const double products = 2.0 * ROWS * (double)in * (double)in;
    char name[96];

    snprintf(name, sizeof name, "alps, a step of %d x %zu", ROWS, in);
    bench_print(bench, name, products / step * 1e-9, "GF/s", products / step * 1e-9, NAN, false);
    snprintf(name, sizeof name, "alps, an inverse of %zu x %zu / a factor of sparsegpt", in, in);
    bench_print(bench, name, inverse, "s", factor, NAN, false);
    snprintf(name, sizeof name, "alps, %zu x %zu, %d steps, %d inverses / sparsegpt", in, in, STEPS,
             INVERSES);
    bench_print(bench, name, INVERSES * inverse + blocks * (STEPS * step + refit), "s",
                factor + blocks * rows, NAN, false);
    problem_free(&p);
}

int main(int argc, char **argv)
{
    const struct bench bench = bench_begin(argc, argv);

    least_squares(&bench, 256);
    least_squares(&bench, 2048);
    least_squares(&bench, 11008);
    alps(&bench, 4096);
    return 0;
}
