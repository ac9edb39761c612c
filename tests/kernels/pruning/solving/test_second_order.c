// Second-order pruning. The oracle knows neither Cholesky nor blocks: for every column it inverts what is
// left of H by Gauss-Jordan elimination and moves the remaining weights as the optimal brain surgeon says.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/gemm.h"
#include "kernels/pruning/solving/hessian_factor.h"
#include "kernels/pruning/solving/second_order.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 150 };

// x[tokens, in] of random tokens whose channels are correlated; freed by the caller.
static float *random_inputs(struct random_state *random, size_t tokens, size_t in)
{
    float *x = malloc(tokens * in * sizeof *x);
    assert_non_null(x);
    random_fill(random, x, tokens * in, 1);
    for (size_t t = 0; t < tokens; t++)
        for (size_t j = 1; j < in; j++)
            x[t * in + j] += 0.7F * x[t * in + j - 1];
    return x;
}

// h[in, in] <- the sum of x_j x_k over the tokens, both triangles.
static void gram(double *h, const float *x, size_t tokens, size_t in)
{
    for (size_t j = 0; j < in; j++)
        for (size_t k = 0; k < in; k++) {
            h[j * in + k] = 0;
            for (size_t t = 0; t < tokens; t++)
                h[j * in + k] += (double)x[t * in + j] * (double)x[t * in + k];
        }
}

// inverse[n, n] of the last n rows and columns of h[in, in], by Gauss-Jordan elimination without pivoting
// (h is positive definite).
static void invert_tail(double *inverse, const double *h, size_t in, size_t n)
{
    static double a[MOST][MOST];
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            a[i][j] = h[(in - n + i) * in + in - n + j];
            inverse[i * n + j] = i == j;
        }
    for (size_t p = 0; p < n; p++) {
        const double pivot = a[p][p];
        for (size_t j = 0; j < n; j++) {
            a[p][j] /= pivot;
            inverse[p * n + j] /= pivot;
        }
        for (size_t i = 0; i < n; i++) {
            const double factor = a[i][p];
            for (size_t j = 0; j < n && i != p; j++) {
                a[i][j] -= factor * a[p][j];
                inverse[i * n + j] -= factor * inverse[p * n + j];
            }
        }
    }
}

// Eighths between -4 and 4: sums of up to 2^14 products of two are exact in float32.
static float *random_eighths(struct random_state *random, size_t count)
{
    float *x = malloc(count * sizeof *x);
    assert_non_null(x);
    for (size_t k = 0; k < count; k++)
        x[k] = (float)random_below(random, 65) / 8 - 4;
    return x;
}

static void hessians_are_sums_of_products(void **state)
{
    (void)state;
    enum { IN = 100, TOKENS = 37 };
    struct random_state random = random_seed(1);
    static double h[IN * IN], expected[IN * IN], more[IN * IN];
    static float product[HESSIAN_ROWS * IN];
    float *first = random_eighths(&random, TOKENS * IN), *second = random_eighths(&random, TOKENS * IN);

    gram(expected, first, TOKENS, IN);
    gram(more, second, TOKENS, IN);
    for (size_t k = 0; k < IN * IN; k++)
        h[k] = 42;
    for (size_t row = 0; row < IN; row += HESSIAN_ROWS) {
        const size_t rows = IN - row < HESSIAN_ROWS ? IN - row : HESSIAN_ROWS;
        hessian_add(h + row * IN, product, first, TOKENS, IN, row, rows);
        hessian_add(h + row * IN, product, second, TOKENS, IN, row, rows);
        hessian_add(h + row * IN, product, NULL, 0, IN, row, rows); // no token: nothing is added
    }
    for (size_t j = 0; j < IN; j++)
        for (size_t k = 0; k < IN; k++) {
            const bool added = k >= j / HESSIAN_ROWS * HESSIAN_ROWS; // from the block's first column on
            assert_true(h[j * IN + k] == 42 + (added ? expected[j * IN + k] + more[j * IN + k] : 0));
        }
    free(first);
    free(second);
}

// 2^12 * 2^12 + 1 is 2^24 in float32: within a sequence the 1 is lost, between sequences it is not.
static void a_sequence_is_summed_in_float32_and_sequences_in_double(void **state)
{
    (void)state;
    const float large[1] = {0x1p12F}, small[1] = {1}, both[2] = {0x1p12F, 1};
    double apart = 0, together = 0;
    float product;

    hessian_add(&apart, &product, large, 1, 1, 0, 1);
    hessian_add(&apart, &product, small, 1, 1, 0, 1);
    hessian_add(&together, &product, both, 2, 1, 0, 1);
    assert_true(apart == 0x1p24 + 1);
    assert_true(together == 0x1p24);
}

static void damping_is_a_share_of_the_mean_diagonal_and_dead_channels_become_one(void **state)
{
    (void)state;
    double h[9] = {4, 0.5, 0, 9, 0, 0, 9, 9, 7};
    uint8_t dead[3];

    assert_int_equal(hessian_damp(h, dead, 3, 0.5), 1);
    assert_memory_equal(dead, ((uint8_t[]){0, 1, 0}), 3);
    assert_true(h[0] == 4 + 0.5 * 4 && h[4] == 1 + 0.5 * 4 && h[8] == 7 + 0.5 * 4); // mean of 4, 1, 7
    assert_true(h[1] == 0.5);
}

static void factor(double *h, size_t in)
{
    static double workspace[TILE_WORKSPACE];

    assert_true(hessian_factor_alone(h, in, workspace));
}

// The optimal brain surgeon, column after column: weights[in] of one row; keep[in] given, or with of != 0
// decided among those that are not 0: others come first among the pruned.
static void oracle(double *weights, uint8_t *keep, const double *h, size_t in, size_t n, size_t of)
{
    static double inverse[MOST * MOST];
    for (size_t j = 0; j < in; j++) {
        if (of != 0 && j % of == 0) {
            double scores[32];
            for (size_t k = 0; k < of; k++) {
                invert_tail(inverse, h, in, in - j - k);
                scores[k] = keep[j + k] ? weights[j + k] * weights[j + k] / inverse[0] : -1;
            }
            for (size_t k = 0; k < of; k++) {
                size_t above = 0;
                for (size_t l = 0; l < of; l++)
                    above += scores[l] > scores[k];
                keep[j + k] = keep[j + k] && above < n;
            }
        }
        if (keep[j])
            continue;
        invert_tail(inverse, h, in, in - j);
        const double error = weights[j] / inverse[0];
        for (size_t k = j; k < in; k++)
            weights[k] -= error * inverse[k - j];
        weights[j] = 0;
    }
}

static void check_row(size_t in, size_t n, size_t of, uint64_t seed)
{
    static double h[MOST * MOST], u[MOST * MOST];
    double weights[MOST], expected[MOST], errors[MOST], original[MOST];
    uint8_t keep[MOST], expected_keep[MOST];
    struct random_state random = random_seed(seed);
    float *x = random_inputs(&random, 2 * in, in);

    gram(h, x, 2 * in, in);
    memcpy(u, h, sizeof u);
    factor(u, in);
    for (size_t j = 0; j < in; j++) {
        original[j] = weights[j] = expected[j] = random_normal(&random);
        keep[j] = expected_keep[j] = (uint8_t)random_below(&random, 2);
    }
    oracle(expected, expected_keep, h, in, n, of);
    second_order_prune(weights, errors, keep, u, in, n, of);
    for (size_t j = 0; j < in; j++) {
        assert_int_equal(keep[j], expected_keep[j]);
        assert_true(fabs(weights[j] - expected[j]) < 1e-8); // condition number below 1e6
        assert_true(keep[j] || (weights[j] == 0 && !signbit(weights[j])));
        assert_true(!keep[j] || errors[j] == 0);
    }
    // errors times U is what the whole row was moved by: what columns after the block will see, too.
    for (size_t k = 0; k < in; k++) {
        double moved = original[k];
        for (size_t j = 0; j <= k; j++)
            moved -= errors[j] * u[j * in + k];
        assert_true(fabs(moved - weights[k]) < 1e-9);
    }
    free(x);
}

static void rows_are_corrected_as_the_surgeon_says(void **state)
{
    (void)state;
    check_row(1, 0, 0, 7);
    check_row(2, 0, 0, 8);
    check_row(33, 0, 0, 9);
    check_row(64, 0, 0, 10);
}

static void patterns_are_chosen_from_corrected_weights(void **state)
{
    (void)state;
    check_row(64, 2, 4, 11);
    check_row(48, 4, 8, 12);
    check_row(32, 3, 32, 13);
    check_row(30, 2, 3, 14);
    check_row(12, 4, 4, 15); // all are kept
}

static void blocks_hold_whole_groups(void **state)
{
    (void)state;
    assert_int_equal(second_order_width(0), 128);
    assert_int_equal(second_order_width(4), 128);
    assert_int_equal(second_order_width(3), 126);
    assert_int_equal(second_order_width(32), 128);
    assert_int_equal(second_order_width(31), 124);
}

static void scores_are_squares_over_the_diagonal(void **state)
{
    (void)state;
    const double row[3] = {-3, 0, 1e-30}, diagonal[3] = {2, 5, 1};
    float scores[3];

    second_order_scores(scores, row, diagonal, 3);
    assert_true(scores[0] == 2.25F && scores[1] == 0 && !signbit(scores[1]) && scores[2] == 0);
}

static void products_in_double_are_subtracted(void **state)
{
    (void)state;
    enum { M = 5, N = 19, K = 13 };
    struct random_state random = random_seed(5);
    double a[M * K], b[K * N], c[M * N], expected[M * N];

    for (size_t i = 0; i < M * K; i++)
        a[i] = random_normal(&random);
    for (size_t i = 0; i < K * N; i++)
        b[i] = random_normal(&random);
    for (size_t i = 0; i < M * N; i++)
        expected[i] = c[i] = random_normal(&random);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++)
            for (size_t k = 0; k < K; k++)
                expected[i * N + j] -= a[i * K + k] * b[k * N + j];
    gemm_subtract_f64(c, N, a, K, b, N, M, N, K);
    for (size_t i = 0; i < M * N; i++)
        assert_true(fabs(c[i] - expected[i]) < 1e-13); // K additions of terms of about 1
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hessians_are_sums_of_products),
        cmocka_unit_test(a_sequence_is_summed_in_float32_and_sequences_in_double),
        cmocka_unit_test(damping_is_a_share_of_the_mean_diagonal_and_dead_channels_become_one),
        cmocka_unit_test(rows_are_corrected_as_the_surgeon_says),
        cmocka_unit_test(patterns_are_chosen_from_corrected_weights),
        cmocka_unit_test(blocks_hold_whole_groups),
        cmocka_unit_test(scores_are_squares_over_the_diagonal),
        cmocka_unit_test(products_in_double_are_subtracted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
