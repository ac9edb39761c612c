// Least squares on a support. The oracle takes the equations of one row's kept weights out of G in double and
// has LAPACK solve them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/blas.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/solving/inverse.h"
#include "kernels/pruning/solving/least_squares.h"
#include "tests/support/random.h"

#include <lapacke.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// A group of linears of one random model: two streams of correlated inputs, one linear, everything that
// solving it needs.
struct problem {
    struct normal_equations equations;
    size_t in, rows;
    double *g, *c, *target, *wide, *workspace;
    float *dense, *start, *weights;
    uint8_t *mask;
    struct least_squares_outcome *outcomes;
};

static void *memory(size_t count, size_t size)
{
    void *block = aligned_alloc(64, (count * size + 64) / 64 * 64);
    assert_non_null(block);
    memset(block, 0, count * size);
    return block;
}

// x[tokens, in]: neighbouring channels are correlated, and a few are much larger than the others.
static double *random_inputs(struct random_state *random, size_t tokens, size_t in)
{
    double *x = memory(tokens * in, sizeof *x);
    for (size_t t = 0; t < tokens; t++)
        for (size_t j = 0; j < in; j++) {
            x[t * in + j] = random_normal(random) * (j % 17 == 3 ? 8 : 1);
            if (j > 0)
                x[t * in + j] += 0.8 * x[t * in + j - 1];
        }
    return x;
}

static void add_products(double *sums, const double *a, const double *b, size_t tokens, size_t in)
{
    for (size_t t = 0; t < tokens; t++)
        for (size_t j = 0; j < in; j++)
            for (size_t k = 0; k < in; k++)
                sums[j * in + k] += a[t * in + j] * b[t * in + k];
}

static void prepare(struct problem *p, double damping)
{
    p->equations = (struct normal_equations){.in = p->in,
                                             .lambda = normal_equations_lambda(p->g, p->in, damping),
                                             .g = p->g,
                                             .c = p->c,
                                             .scale = memory(p->in, sizeof(double)),
                                             .scaled = memory(p->in * p->in, sizeof(float))};
    normal_equations_scale(&p->equations);
    normal_equations_fill(&p->equations, 0, p->in);
    for (size_t i = 0; i < p->rows; i += LEAST_SQUARES_ROWS) {
        const size_t count = p->rows - i < LEAST_SQUARES_ROWS ? p->rows - i : LEAST_SQUARES_ROWS;
        least_squares_target(p->target + i * p->in, &p->equations, p->dense + i * p->in, count, p->wide);
    }
}

// `dead`: every channel j with j % dead == 1 is 0 in both streams; 0: none.
static struct problem problem_create(size_t rows, size_t in, size_t tokens, double damping, size_t dead)
{
    struct random_state random = random_seed(in + 1000 * tokens);
    struct problem p = {
        .in = in,
        .rows = rows,
        .g = memory(in * in, sizeof(double)),
        .c = memory(in * in, sizeof(double)),
        .target = memory(rows * in, sizeof(double)),
        .wide = memory(LEAST_SQUARES_ROWS * in, sizeof(double)),
        .workspace = memory(least_squares_workspace(in), sizeof(double)),
        .dense = memory(rows * in, sizeof(float)),
        .start = memory(rows * in, sizeof(float)),
        .weights = memory(rows * in, sizeof(float)),
        .mask = memory(rows, mask_row_bytes(in)),
        .outcomes = memory(rows, sizeof(struct least_squares_outcome)),
    };
    double *x = random_inputs(&random, tokens, in), *y = random_inputs(&random, tokens, in);

    for (size_t k = 0; k < tokens * in; k++) { // the dense stream is near the pruned one
        if (dead != 0 && k % in % dead == 1)
            x[k] = 0;
        y[k] = x[k] + 0.1 * y[k];
    }
    add_products(p.g, x, x, tokens, in);
    add_products(p.c, x, y, tokens, in);
    random_fill(&random, p.dense, rows * in, 0.05);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < in; j++) {
            // Rows of every kind: half, none, all, 2:4, a tenth.
            const unsigned draw = (unsigned)random_below(&random, 10);
            const bool keep[5] = {draw < 5, false, true, (j + i) % 4 < 2, draw == 0};
            p.mask[i * mask_row_bytes(in) + j / 8] |= (uint8_t)(keep[i % 5] << j % 8);
        }
    memcpy(p.start, p.dense, rows * in * sizeof *p.dense);
    prepare(&p, damping);
    free(x);
    free(y);
    return p;
}

static void problem_free(struct problem *p)
{
    void *const blocks[] = {p->g,         p->c,        p->target,          p->wide,
                            p->workspace, p->dense,    p->start,           p->weights,
                            p->mask,      p->outcomes, p->equations.scale, p->equations.scaled};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        free(blocks[i]);
}

static bool is_kept(const struct problem *p, bool masked, size_t i, size_t j)
{
    return !masked || (p->mask[i * mask_row_bytes(p->in) + j / 8] >> j % 8 & 1) != 0;
}

// The rows [first, first + count) as one block.
static void solve(struct problem *p, bool masked, size_t first, size_t count,
                  struct least_squares_limits limits)
{
    const struct least_squares_rows rows = {
        .count = count,
        .target = p->target + first * p->in,
        .mask = masked ? p->mask + first * mask_row_bytes(p->in) : NULL,
        .start = p->start + first * p->in,
    };
    least_squares_rows(p->weights + first * p->in, p->outcomes + first, &p->equations, &rows, &limits,
                       p->workspace);
}

static void solve_all(struct problem *p, bool masked, struct least_squares_limits limits)
{
    for (size_t i = 0; i < p->rows; i += LEAST_SQUARES_ROWS)
        solve(p, masked, i, p->rows - i < LEAST_SQUARES_ROWS ? p->rows - i : LEAST_SQUARES_ROWS, limits);
}

// expected[in] <- row i, solved by LAPACK on its support.
static void oracle(const struct problem *p, bool masked, size_t i, double *expected)
{
    const size_t in = p->in;
    size_t *kept = memory(in + 1, sizeof *kept), n = 0;
    double *matrix = memory(in * in, sizeof *matrix), *side = memory(in, sizeof *side);

    for (size_t j = 0; j < in; j++) {
        expected[j] = 0;
        if (is_kept(p, masked, i, j))
            kept[n++] = j;
    }
    for (size_t a = 0; a < n; a++) {
        for (size_t b = 0; b < n; b++)
            matrix[a * n + b] = p->g[kept[a] * in + kept[b]] + (a == b ? p->equations.lambda : 0);
        side[a] = p->equations.lambda * (double)p->dense[i * in + kept[a]];
        for (size_t k = 0; k < in; k++)
            side[a] +=
                (p->equations.c != NULL ? p->c : p->g)[kept[a] * in + k] * (double)p->dense[i * in + k];
    }
    if (n > 0)
        assert_int_equal(LAPACKE_dposv(LAPACK_COL_MAJOR, 'L', (lapack_int)n, 1, matrix, (lapack_int)n, side,
                                       (lapack_int)n),
                         0);
    for (size_t a = 0; a < n; a++)
        expected[kept[a]] = side[a];
    free(kept);
    free(matrix);
    free(side);
}

// w^T (G + lambda I) w / 2 - b^T w: what is minimised, but for a constant.
static double objective(const struct problem *p, size_t i, const float *w)
{
    const size_t in = p->in;
    double sum = 0;
    for (size_t j = 0; j < in; j++) {
        double product = p->equations.lambda * (double)w[j];
        for (size_t k = 0; k < in; k++)
            product += p->g[j * in + k] * (double)w[k];
        sum += (double)w[j] * (product / 2 - p->target[i * in + j]);
    }
    return sum;
}

// |r| / |b| of weights w on the support, both divided by sqrt(G_jj + lambda).
static double relative_residual(const struct problem *p, size_t i, const float *w)
{
    const size_t in = p->in;
    double residual = 0, target = 0;
    for (size_t j = 0; j < in; j++) {
        const double square = p->g[j * in + j] + p->equations.lambda, b = p->target[i * in + j];
        double r = b - p->equations.lambda * (double)w[j];
        if (!is_kept(p, true, i, j) || square == 0)
            continue;
        for (size_t k = 0; k < in; k++)
            r -= p->g[j * in + k] * (double)w[k];
        residual += r * r / square;
        target += b * b / square;
    }
    return target > 0 ? sqrt(residual / target) : 0;
}

static double relative_error(const float *w, const double *expected, size_t in)
{
    double error = 0, norm = 0;
    for (size_t j = 0; j < in; j++) {
        error += ((double)w[j] - expected[j]) * ((double)w[j] - expected[j]);
        norm += expected[j] * expected[j];
    }
    return norm > 0 ? sqrt(error / norm) : sqrt(error);
}

static const struct least_squares_limits to_the_end = {.steps = 5000, .tolerance = 0};

static void the_equations_are_those_of_the_formula(void **state)
{
    (void)state;
    struct problem p = problem_create(5, 37, 80, 0.01, 0);
    const size_t in = p.in;
    float *share = memory(in * in, sizeof *share), *const whole = p.equations.scaled;
    double mean = 0;

    for (size_t j = 0; j < in; j++)
        mean += p.g[j * in + j];
    assert_true(fabs(p.equations.lambda - 0.01 * mean / (double)in) < 1e-12 * mean);
    for (size_t j = 0; j < in; j++)
        for (size_t k = 0; k < in; k++) {
            const double lambda = p.equations.lambda;
            const double a = (p.g[j * in + k] + (j == k ? lambda : 0)) /
                             sqrt((p.g[j * in + j] + lambda) * (p.g[k * in + k] + lambda));
            assert_true(fabs((double)whole[j * in + k] - a) <= 0x1p-23 * fabs(a));
        }
    for (size_t i = 0; i < p.rows; i++)
        for (size_t j = 0; j < in; j++) {
            double b = p.equations.lambda * (double)p.dense[i * in + j];
            for (size_t k = 0; k < in; k++)
                b += (double)p.dense[i * in + k] * p.c[j * in + k];
            assert_true(fabs(p.target[i * in + j] - b) < 1e-12 * p.g[3 * in + 3]);
        }
    p.equations.scaled = share;
    normal_equations_fill(&p.equations, 20, in - 20);
    normal_equations_fill(&p.equations, 0, 20);
    assert_memory_equal(share, whole, in * in * sizeof *share);
    p.equations.scaled = whole;
    free(share);
    problem_free(&p);
}

static void check_against_lapack(struct problem *p, bool masked)
{
    double *expected = memory(p->in, sizeof *expected);

    solve_all(p, masked, to_the_end);
    for (size_t i = 0; i < p->rows; i++) {
        const float *w = p->weights + i * p->in;
        oracle(p, masked, i, expected);
        assert_true(relative_error(w, expected, p->in) <= 1e-6); // float32 weights
        for (size_t j = 0; j < p->in; j++)
            assert_true(is_kept(p, masked, i, j) || (w[j] == 0 && !signbit(w[j])));
    }
    free(expected);
}

static void rows_are_solved_as_lapack_solves_them(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{7, 1}, {5, 2}, {LEAST_SQUARES_ROWS, 33}, {6, 131}, {10, 600}};

    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        struct problem p = problem_create(sizes[k][0], sizes[k][1], 2 * sizes[k][1] + 3, 0.01, 0);
        check_against_lapack(&p, true);
        check_against_lapack(&p, false); // all are kept: W+
        p.equations.c = NULL;            // one stream
        least_squares_target(p.target, &p.equations, p.dense, p.rows, p.wide);
        check_against_lapack(&p, true);
        problem_free(&p);
    }
}

static void little_damping_costs_steps_but_no_digits(void **state)
{
    (void)state;
    struct problem p = problem_create(5, 131, 160, 1e-7, 0);
    double *expected = memory(p.in, sizeof *expected);

    solve_all(&p, true, to_the_end);
    for (size_t i = 0; i < p.rows; i++) {
        oracle(&p, true, i, expected);
        assert_true(relative_error(p.weights + i * p.in, expected, p.in) <= 1e-5);
    }
    free(expected);
    problem_free(&p);
}

static void few_steps_already_help_and_are_reported_as_they_are(void **state)
{
    (void)state;
    struct problem p = problem_create(10, 131, 300, 0.01, 0);

    for (size_t steps = 0; steps <= 10; steps++) {
        double *before = memory(p.rows, sizeof *before);
        for (size_t i = 0; i < p.rows && steps > 0; i++)
            before[i] = objective(&p, i, p.weights + i * p.in);
        solve_all(&p, true, (struct least_squares_limits){.steps = steps});
        for (size_t i = 0; i < p.rows; i++) {
            const float *w = p.weights + i * p.in;
            const bool none = i % 5 == 1;
            assert_int_equal(p.outcomes[i].steps, none ? 0 : steps);
            assert_true(fabs(p.outcomes[i].residual - relative_residual(&p, i, w)) <= 2e-6);
            if (steps == 0)
                assert_true(p.outcomes[i].residual == p.outcomes[i].first);
            else if (!none)
                assert_true(objective(&p, i, w) < before[i]);
        }
        free(before);
    }
    problem_free(&p);
}

static bool counts_down(void *context)
{
    int *left = context;
    return (*left)-- == 0;
}

static void a_solution_is_given_up_before_any_product(void **state)
{
    (void)state;
    struct problem p = problem_create(10, 131, 300, 0.01, 0);
    const size_t values = p.rows * p.in;
    float *whole = memory(values, sizeof *whole), *before = memory(values, sizeof *before);
    int asked = INT_MAX, left;
    struct least_squares_limits limits = {.steps = 6, .gives_up = counts_down, .context = &asked};

    memcpy(before, p.weights, values * sizeof *before);
    solve_all(&p, true, limits);
    asked = INT_MAX - asked;
    assert_true(asked > 6); // at each step, and at each round
    memcpy(whole, p.weights, values * sizeof *whole);
    limits.context = &left;
    for (int n = 0; n <= asked; n++) {
        memcpy(p.weights, before, values * sizeof *before);
        p.outcomes[0].steps = 77;
        left = n;
        solve_all(&p, true, limits);
        assert_memory_equal(p.weights, n < asked ? before : whole, values * sizeof *whole);
        assert_int_equal(p.outcomes[0].steps == 77, n < asked);
    }
    free(whole);
    free(before);
    problem_free(&p);
}

static void a_row_stops_at_the_tolerance(void **state)
{
    (void)state;
    struct problem p = problem_create(10, 131, 300, 0.01, 0);

    solve_all(&p, true, (struct least_squares_limits){.steps = 1000, .tolerance = 1e-3});
    for (size_t i = 0; i < p.rows; i++) {
        const double residual = relative_residual(&p, i, p.weights + i * p.in);
        assert_true(residual <= 1.01e-3);
        assert_true(i % 5 == 1 || (p.outcomes[i].steps > 3 && p.outcomes[i].steps < 100 && residual > 1e-5));
    }
    // From the solution nothing is left to do.
    memcpy(p.start, p.weights, p.rows * p.in * sizeof *p.start);
    solve_all(&p, true, (struct least_squares_limits){.steps = 1000, .tolerance = 1.01e-3});
    for (size_t i = 0; i < p.rows; i++)
        assert_int_equal(p.outcomes[i].steps, 0);
    assert_memory_equal(p.start, p.weights, p.rows * p.in * sizeof *p.start);
    problem_free(&p);
}

// Fewer tokens than channels, no damping.
static void a_singular_problem_is_fitted_and_never_made_worse(void **state)
{
    (void)state;
    static const size_t steps[] = {1, 10, 100, 5000};

    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
        struct problem p = problem_create(10, 131, 40, 0, 5);
        solve_all(&p, true, (struct least_squares_limits){.steps = steps[k]});
        for (size_t i = 0; i < p.rows; i++) {
            const float *w = p.weights + i * p.in;
            float start[131];
            memcpy(start, p.start + i * p.in, sizeof start);
            mask_apply(start, p.mask + i * mask_row_bytes(p.in), p.in);
            for (size_t j = 0; j < p.in; j++) {
                assert_true(isfinite(w[j]) && fabsf(w[j]) < 100);
                if (j % 5 == 1) // no equation: the first guess stays
                    assert_true(w[j] == start[j]);
            }
            assert_true(objective(&p, i, w) <= objective(&p, i, start));
            assert_true(p.outcomes[i].residual <= p.outcomes[i].first || steps[k] < 100);
            // Fitted as far as rounding allows: more kept weights than tokens reach every target.
            assert_true(steps[k] < 5000 || i % 5 != 2 || relative_residual(&p, i, w) < 1e-4);
        }
        problem_free(&p);
    }
}

// All channels are nearly the same one: what tells them apart is less than float32's rounding of G.
static void channels_that_are_nearly_equal_are_not_played_off_against_each_other(void **state)
{
    (void)state;
    static const size_t steps[] = {2, 10, 1000};

    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
        struct problem p = problem_create(200, 64, 5, 0, 0);
        struct random_state random = random_seed(3);
        for (size_t j = 0; j < p.in; j++)
            for (size_t l = 0; l <= j; l++) {
                const double noise =
                    (j == l ? 1e-3 + 1e-4 * random_normal(&random) : 2.5e-6 * random_normal(&random));
                p.g[j * p.in + l] = p.g[l * p.in + j] = 1000 + noise;
                p.c[j * p.in + l] = p.c[l * p.in + j] = 1000 + noise;
            }
        free(p.equations.scale);
        free(p.equations.scaled);
        prepare(&p, 0);
        solve_all(&p, true, (struct least_squares_limits){.steps = steps[k]});
        for (size_t i = 0; i < p.rows; i++) {
            const float *w = p.weights + i * p.in;
            float start[64];
            memcpy(start, p.start + i * p.in, sizeof start);
            mask_apply(start, p.mask + i * mask_row_bytes(p.in), p.in);
            assert_true(objective(&p, i, w) <= objective(&p, i, start));
            assert_true(p.outcomes[i].steps <= 10); // more would follow rounding
            assert_true(p.outcomes[i].residual <= 1e-5);
        }
        problem_free(&p);
    }
}

static void dead_channels_keep_their_dense_weight(void **state)
{
    (void)state;
    struct problem p = problem_create(5, 61, 200, 0.01, 7);

    memset(p.start, 0, p.rows * p.in * sizeof *p.start);
    solve_all(&p, true, to_the_end);
    for (size_t i = 0; i < p.rows; i++)
        for (size_t j = 1; j < p.in; j += 7)
            if (is_kept(&p, true, i, j))
                assert_true(fabs((double)p.weights[i * p.in + j] - (double)p.dense[i * p.in + j]) < 1e-7);
    problem_free(&p);
}

static void no_input_at_all_leaves_the_first_guess(void **state)
{
    (void)state;
    struct problem p = problem_create(5, 20, 0, 0.01, 0);

    assert_true(p.equations.lambda == 0);
    solve_all(&p, true, to_the_end);
    for (size_t i = 0; i < p.rows; i++)
        for (size_t j = 0; j < p.in; j++)
            assert_true(p.weights[i * p.in + j] == (is_kept(&p, true, i, j) ? p.start[i * p.in + j] : 0));
    problem_free(&p);
}

static void a_rows_bits_depend_on_that_row_alone(void **state)
{
    (void)state;
    if (!blas_keeps_bits())
        skip();
    static const size_t blocks[] = {1, 3, 37, 128};
    const struct least_squares_limits limits[] = {{.steps = 10}, {.steps = 300, .tolerance = 1e-6}};
    struct problem p = problem_create(LEAST_SQUARES_ROWS, 300, 400, 0.01, 0);
    float *whole = memory(p.rows * p.in, sizeof *whole);
    struct least_squares_outcome *outcomes = memory(p.rows, sizeof *outcomes);

    for (size_t l = 0; l < 2; l++) {
        solve_all(&p, true, limits[l]);
        memcpy(whole, p.weights, p.rows * p.in * sizeof *whole);
        memcpy(outcomes, p.outcomes, p.rows * sizeof *outcomes);
        for (size_t k = 0; k < sizeof blocks / sizeof blocks[0]; k++) {
            memset(p.weights, 0, p.rows * p.in * sizeof *p.weights);
            for (size_t i = 0; i < p.rows; i += blocks[k])
                solve(&p, true, i, p.rows - i < blocks[k] ? p.rows - i : blocks[k], limits[l]);
            assert_memory_equal(p.weights, whole, p.rows * p.in * sizeof *whole);
            assert_memory_equal(p.outcomes, outcomes, p.rows * sizeof *outcomes);
        }
    }
    memcpy(p.weights, p.start, p.rows * p.in * sizeof *p.start); // in place
    memcpy(p.start, p.dense, p.rows * p.in * sizeof *p.start);
    solve_all(&p, true, limits[1]);
    assert_memory_equal(p.weights, whole, p.rows * p.in * sizeof *whole);
    free(whole);
    free(outcomes);
    problem_free(&p);
}

// With a fourth of the matrix that belongs to the equations, float32 steps go four times too far: the true
// residual is three times what it was.
static void a_round_that_raises_the_residual_is_taken_back(void **state)
{
    (void)state;
    struct problem p = problem_create(9, 60, 200, 0.01, 0);
    float *matrix = (float *)p.equations.scaled;

    for (size_t k = 0; k < p.in * p.in; k++)
        matrix[k] *= 0.25F;
    solve_all(&p, true, (struct least_squares_limits){.steps = 300, .tolerance = 1e-6});
    for (size_t i = 0; i < p.rows; i++) {
        assert_true(p.outcomes[i].residual == p.outcomes[i].first);
        assert_true(i % 5 == 1 ? p.outcomes[i].steps == 0 : p.outcomes[i].steps > 0);
        for (size_t j = 0; j < p.in; j++)
            assert_true(p.weights[i * p.in + j] == (is_kept(&p, true, i, j) ? p.start[i * p.in + j] : 0));
    }
    problem_free(&p);
}

static void no_rows_are_no_work(void **state)
{
    (void)state;
    const struct normal_equations equations = {.in = 4};
    const struct least_squares_rows rows = {.count = 0};

    least_squares_rows(NULL, NULL, &equations, &rows, &to_the_end, NULL);
}

static void an_inverse_of_the_equations_gives_what_the_steps_give(void **state)
{
    (void)state;
    for (size_t in = 1; in <= 301; in += 100) {
        struct problem p = problem_create(9, in, 2 * in + 3, 0.01, 0);
        double *inverse = memory(in * in, sizeof *inverse), *expected = memory(in, sizeof *expected);
        double *workspace = memory(TILE_WORKSPACE, sizeof *workspace), *side = memory(in, sizeof *side);

        normal_equations_wide(inverse, &p.equations, 0, in / 2, in - in / 2);
        normal_equations_wide(inverse, &p.equations, 0, 0, in / 2);
        assert_true(inverse_alone(inverse, in, workspace));
        for (size_t i = 0; i < p.rows; i++) {
            oracle(&p, false, i, expected);
            for (size_t j = 0; j < in; j++)
                side[j] = p.target[i * in + j] / p.equations.scale[j];
            for (size_t j = 0; j < in; j++) {
                double w = 0;
                for (size_t k = 0; k < in; k++)
                    w += inverse[j * in + k] * side[k];
                p.weights[i * in + j] = (float)(w / p.equations.scale[j]);
            }
            assert_true(relative_error(p.weights + i * in, expected, in) <= 1e-6);
        }
        free(workspace);
        free(side);
        free(inverse);
        free(expected);
        problem_free(&p);
    }
}

static void what_is_inverted_has_the_penalty_on_its_diagonal(void **state)
{
    (void)state;
    struct problem p = problem_create(1, 33, 70, 0.01, 0);
    double *matrix = memory(p.in * p.in, sizeof *matrix);

    normal_equations_wide(matrix, &p.equations, 0.3, 0, p.in);
    for (size_t j = 0; j < p.in; j++)
        for (size_t k = 0; k < p.in; k++) {
            const double a = matrix[j * p.in + k] - (j == k ? 0.3 : 0);
            assert_true(fabs(a - (double)p.equations.scaled[j * p.in + k]) <= 0x1p-23);
        }
    free(matrix);
    problem_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_equations_are_those_of_the_formula),
        cmocka_unit_test(rows_are_solved_as_lapack_solves_them),
        cmocka_unit_test(little_damping_costs_steps_but_no_digits),
        cmocka_unit_test(few_steps_already_help_and_are_reported_as_they_are),
        cmocka_unit_test(a_solution_is_given_up_before_any_product),
        cmocka_unit_test(a_row_stops_at_the_tolerance),
        cmocka_unit_test(a_singular_problem_is_fitted_and_never_made_worse),
        cmocka_unit_test(channels_that_are_nearly_equal_are_not_played_off_against_each_other),
        cmocka_unit_test(dead_channels_keep_their_dense_weight),
        cmocka_unit_test(no_input_at_all_leaves_the_first_guess),
        cmocka_unit_test(a_round_that_raises_the_residual_is_taken_back),
        cmocka_unit_test(a_rows_bits_depend_on_that_row_alone),
        cmocka_unit_test(no_rows_are_no_work),
        cmocka_unit_test(an_inverse_of_the_equations_gives_what_the_steps_give),
        cmocka_unit_test(what_is_inverted_has_the_penalty_on_its_diagonal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
