// solve_linear - prunes half of every row of one linear, for scripts that compare time and result with
// another program's.
//
//     solve_linear alps | sparsegpt  < problem > weights
//
// Reads two sizes of 8 bytes, rows and input channels (multiples of 128), G[in, in] in double and the weight
// [rows, in] in float32; writes the pruned weight in float32. Prints the processor seconds between the two to
// standard error. Damping is 0.01 of the mean of G's diagonal. sparsegpt prunes half of each 128 columns, as
// its authors do.
#include "kernels/gemm.h"
#include "kernels/mask_bits.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/solving/admm.h"
#include "kernels/pruning/solving/alps.h"
#include "kernels/pruning/solving/hessian_factor.h"
#include "kernels/pruning/solving/inverse.h"
#include "kernels/pruning/solving/least_squares.h"
#include "kernels/pruning/solving/second_order.h"
#include "kernels/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BLOCK = LEAST_SQUARES_ROWS, WIDTH = SECOND_ORDER_COLUMNS };

struct problem {
    size_t rows, in;
    double *g;     // [in, in]
    float *weight; // [rows, in]
};

static void fail(const char *message)
{
    fprintf(stderr, "solve_linear: %s\n", message);
    exit(EXIT_FAILURE);
}

static void *memory(size_t count, size_t size)
{
    void *block = NULL;
    struct error err;

    if (allocate_aligned(&block, count, size, "a linear", &err) != STATUS_OK)
        fail(err.message);
    return block;
}

static void read_exactly(void *to, size_t bytes)
{
    if (fread(to, 1, bytes, stdin) != bytes)
        fail("the problem is cut off");
}

static struct problem read_problem(void)
{
    uint64_t sizes[2];
    struct problem p;

    read_exactly(sizes, sizeof sizes);
    p.rows = (size_t)sizes[0];
    p.in = (size_t)sizes[1];
    if (p.rows == 0 || p.in == 0 || p.rows > 1 << 20 || p.in > 1 << 20 || p.in % WIDTH != 0)
        fail("sizes that make no sense");
    p.g = memory(p.in * p.in, sizeof *p.g);
    p.weight = memory(p.rows * p.in, sizeof *p.weight);
    read_exactly(p.g, p.in * p.in * sizeof *p.g);
    read_exactly(p.weight, p.rows * p.in * sizeof *p.weight);
    return p;
}

// ---- sparsegpt ------------------------------------------------------------------------------------------

static void prune_columns(const struct problem *p, const double *factor, double *weights, double *errors,
                          size_t column)
{
    static double block[WIDTH * WIDTH], diagonal[WIDTH];
    const size_t in = p->in, right = column + WIDTH;
    float *scores = memory(p->rows * WIDTH, sizeof *scores);
    struct select_search search;
    uint8_t mask[WIDTH / 8], keep[WIDTH];

    for (size_t j = 0; j < WIDTH; j++) {
        memcpy(block + j * WIDTH, factor + (column + j) * in + column, WIDTH * sizeof *block);
        diagonal[j] = block[j * WIDTH + j];
    }
    for (size_t i = 0; i < p->rows; i++)
        second_order_scores(scores + i * WIDTH, weights + i * in + column, diagonal, WIDTH);
    select_search_begin(&search, p->rows * WIDTH / 2);
    for (int digit = 0; digit < SELECT_DIGITS; digit++) {
        uint64_t histogram[SELECT_BINS] = {0};
        select_search_count(&search, histogram, scores, p->rows * WIDTH);
        select_search_narrow(&search, histogram);
    }
    uint64_t ties = search.ties;
    for (size_t i = 0; i < p->rows; i++) {
        select_threshold_row(mask, scores + i * WIDTH, WIDTH, &search, &ties);
        mask_unpack(keep, mask, 0, WIDTH);
        second_order_prune(weights + i * in + column, errors + i * WIDTH, keep, block, WIDTH, 0, 0);
    }
    free(scores);
    if (right < in)
        gemm_subtract_f64(weights + right, in, errors, WIDTH, factor + column * in + right, in, p->rows,
                          in - right, WIDTH);
}

static void sparsegpt(const struct problem *p)
{
    const size_t in = p->in;
    double *weights = memory(p->rows * in, sizeof *weights),
           *errors = memory(p->rows * WIDTH, sizeof *errors);
    double *tile = memory(TILE_WORKSPACE, sizeof *tile);
    uint8_t *dead = memory(in, 1);

    hessian_damp(p->g, dead, in, 0.01);
    if (!hessian_factor_alone(p->g, in, tile))
        fail("G is not positive definite");
    for (size_t k = 0; k < p->rows * in; k++)
        weights[k] = (double)p->weight[k];
    for (size_t column = 0; column < in; column += WIDTH)
        prune_columns(p, p->g, weights, errors, column);
    for (size_t k = 0; k < p->rows * in; k++)
        p->weight[k] = (float)weights[k];
    free(weights);
    free(errors);
    free(tile);
    free(dead);
}

// ---- alps -----------------------------------------------------------------------------------------------

struct splitting {
    const struct problem *problem;
    struct normal_equations equations;
    float *state, *scores;
    double *inverse, *workspace, *target;
    uint8_t *mask, *before;
};

static struct admm_rows block_of(const struct splitting *s, size_t row)
{
    const struct problem *p = s->problem;
    return (struct admm_rows){.count = p->rows - row < BLOCK ? p->rows - row : BLOCK,
                              .dense = p->weight + row * p->in,
                              .state = s->state + row * p->in,
                              .mask = s->mask + row * mask_row_bytes(p->in)};
}

static void begin(struct splitting *s)
{
    const struct problem *p = s->problem;

    for (size_t row = 0; row < p->rows; row += BLOCK) {
        const struct admm_rows rows = block_of(s, row);
        admm_begin(&rows, &s->equations);
        admm_select(&rows, p->in, &(struct admm_selection){.prune = p->in / 2}, s->scores);
    }
    memcpy(s->before, s->mask, p->rows * mask_row_bytes(p->in));
}

static void invert(struct splitting *s, double rho)
{
    const size_t in = s->problem->in;

    normal_equations_wide(s->inverse, &s->equations, rho, 0, in);
    if (!inverse_alone(s->inverse, in, s->workspace))
        fail("G is not positive definite");
    inverse_narrow(s->inverse, in, 0, in);
}

static void step(struct splitting *s, const struct alps_schedule *schedule)
{
    const size_t in = s->problem->in;

    for (size_t row = 0; row < s->problem->rows; row += BLOCK) {
        const struct admm_rows rows = block_of(s, row);
        admm_step(&rows, &s->equations, (float *)s->inverse,
                  &(struct admm_penalty){schedule->penalty, schedule->dual}, (float *)s->workspace);
        admm_select(&rows, in, &(struct admm_selection){.prune = in / 2}, s->scores);
    }
}

static void choose_masks(struct splitting *s)
{
    const size_t bytes = s->problem->rows * mask_row_bytes(s->problem->in);
    struct alps_schedule schedule;
    double inverted = 0;

    begin(s);
    alps_begin(&schedule);
    for (enum alps_next next = ALPS_CONTINUE; next != ALPS_DONE;) {
        uint64_t changed = 0;
        if (inverted != schedule.penalty)
            invert(s, schedule.penalty);
        inverted = schedule.penalty;
        step(s, &schedule);
        if (alps_counts(&schedule)) {
            changed = mask_difference(s->mask, s->before, bytes);
            memcpy(s->before, s->mask, bytes);
        }
        next = alps_next(&schedule, changed, (uint64_t)s->problem->rows * (s->problem->in / 2));
        if (next == ALPS_RESTART)
            begin(s);
    }
}

static void solve(struct splitting *s)
{
    const size_t in = s->problem->in;
    struct least_squares_outcome outcomes[BLOCK];

    for (size_t row = 0; row < s->problem->rows; row += BLOCK) {
        const struct admm_rows rows = block_of(s, row);
        admm_result(rows.state, &rows, &s->equations);
        least_squares_target(s->target, &s->equations, rows.dense, rows.count, s->workspace);
        least_squares_rows(rows.state, outcomes, &s->equations,
                           &(struct least_squares_rows){rows.count, s->target, rows.mask, rows.state},
                           &(struct least_squares_limits){.steps = LEAST_SQUARES_STEPS}, s->workspace);
    }
    memcpy(s->problem->weight, s->state, s->problem->rows * in * sizeof *s->state);
}

static void alps(const struct problem *p)
{
    const size_t in = p->in, bytes = p->rows * mask_row_bytes(in);
    const size_t solving = least_squares_workspace(in), tile = TILE_WORKSPACE;
    struct splitting s = {.problem = p,
                          .equations = {.in = in,
                                        .lambda = normal_equations_lambda(p->g, in, 0.01),
                                        .g = p->g,
                                        .scale = memory(in, sizeof(double)),
                                        .scaled = memory(in * in, sizeof(float))},
                          .state = memory(p->rows * in, sizeof(float)),
                          .scores = memory(threads_count() * in, sizeof(float)),
                          .inverse = memory(in * in, sizeof(double)),
                          .workspace = memory(solving > tile ? solving : tile, sizeof(double)),
                          .target = memory(BLOCK * in, sizeof(double)),
                          .mask = memory(bytes, 1),
                          .before = memory(bytes, 1)};

    normal_equations_scale(&s.equations);
    normal_equations_fill(&s.equations, 0, in);
    choose_masks(&s);
    solve(&s);
    void *const blocks[] = {s.equations.scale, s.equations.scaled, s.state, s.scores, s.inverse,
                            s.workspace,       s.target,           s.mask,  s.before};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
}

int main(int argc, char **argv)
{
    if (argc != 2 || (strcmp(argv[1], "alps") != 0 && strcmp(argv[1], "sparsegpt") != 0))
        fail("usage: solve_linear alps | sparsegpt  < problem > weights");
    const struct problem p = read_problem();
    const clock_t start = clock();

    (strcmp(argv[1], "alps") == 0 ? alps : sparsegpt)(&p);
    fprintf(stderr, "%.6f\n", (double)(clock() - start) / CLOCKS_PER_SEC);
    if (fwrite(p.weight, sizeof *p.weight, p.rows * p.in, stdout) != p.rows * p.in)
        fail("the weights cannot be written");
    free(p.g);
    free(p.weight);
    return 0;
}
