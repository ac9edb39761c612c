// Normalisation against plain loops in double.
#include "kernels/forward/norm.h"
#include "tests/support/naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// One float32 rounding each of centre, scale and two products of numbers up to 4.
static const double tolerance = 2e-6;

static void check(enum norm_kind kind, bool with_bias)
{
    static const size_t sizes[] = {1, 2, 7, 8, 9, 64, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const size_t size = sizes[i], rows = 3;
        float *x = uniform_floats(rows * size, 2.0F, i), *weight = uniform_floats(size, 1.0F, i + 10);
        float *bias = uniform_floats(size, 1.0F, i + 20), *out = uniform_floats(rows * size, 1.0F, 0);
        float *expected = uniform_floats(rows * size, 1.0F, 0);
        const struct norm norm = {.weight = weight, .bias = with_bias ? bias : NULL};
        naive_norm(expected, x, rows, size, &norm, kind, (double)1e-5F);
        norm_forward(out, x, rows, size, &norm, kind, 1e-5F);
        assert_true(largest_difference(out, expected, rows * size) < tolerance);
        norm_forward(x, x, rows, size, &norm, kind, 1e-5F); // in place
        assert_memory_equal(x, out, rows * size * sizeof *x);
        free(x);
        free(weight);
        free(bias);
        free(out);
        free(expected);
    }
}

static void root_mean_square(void **state)
{
    (void)state;
    check(NORM_RMS, false);
}

static void layer_norm_of_one_plus_weight(void **state)
{
    (void)state;
    check(NORM_LAYER_ONE_PLUS, true);
}

static void norms_without_a_weight(void **state)
{
    enum { ROWS = 3, SIZE = 11 };
    const struct norm norm = {.plain = true};
    (void)state;
    assert_true(norm_is_there(&norm));
    assert_false(norm_is_there(&(struct norm){0}));
    for (int kind = NORM_RMS; kind <= NORM_LAYER; kind++) {
        float *x = uniform_floats(ROWS * SIZE, 2.0F, 1), *expected = uniform_floats(ROWS * SIZE, 1.0F, 0);
        naive_norm(expected, x, ROWS, SIZE, &norm, (enum norm_kind)kind, (double)1e-5F);
        norm_forward(x, x, ROWS, SIZE, &norm, (enum norm_kind)kind, 1e-5F);
        assert_true(largest_difference(x, expected, ROWS * SIZE) < tolerance);
        free(x);
        free(expected);
    }
}

static void layer_norm_with_and_without_bias(void **state)
{
    (void)state;
    check(NORM_LAYER, true);
    check(NORM_LAYER, false);
}

static void epsilon_keeps_zeros_zero(void **state)
{
    (void)state;
    const float x[3] = {0}, weight[3] = {1, 2, 3}, zeros[3] = {0};
    float out[3];
    norm_forward(out, x, 1, 3, &(struct norm){.weight = weight}, NORM_RMS, 1e-6F);
    assert_memory_equal(out, zeros, sizeof zeros);
}

// In float32, or in double as mean(x^2) - mean(x)^2, a variance of 2^-11 would be lost in a mean square of
// 2^42. The row is symmetric around 2^21, which is therefore exactly its mean.
static void a_large_mean_does_not_drown_the_variance(void **state)
{
    (void)state;
    enum { SIZE = 1000 };
    const double centre = 0x1p21, step = 0.25;
    float *weight = uniform_floats(SIZE, 1.0F, 1), *out = uniform_floats(SIZE, 1.0F, 2);
    float x[SIZE];
    double variance = 0;

    for (int i = 0; i < SIZE / 2; i++) { // one deviation in 128 is a step, the others are 0
        x[i] = (float)(centre + (i % 128 == 5 ? step : 0));
        x[SIZE - 1 - i] = (float)(centre - (i % 128 == 5 ? step : 0));
        variance += (i % 128 == 5 ? 2 : 0) * step * step / SIZE;
    }
    norm_forward(out, x, 1, SIZE, &(struct norm){.weight = weight}, NORM_LAYER, 0.0F);
    for (int i = 0; i < SIZE; i++)
        assert_close((double)out[i], ((double)x[i] - centre) / sqrt(variance) * (double)weight[i],
                     12 * 0x1p-23); // three roundings of numbers below 16
    free(weight);
    free(out);
}

static void gemma_adds_one_to_the_weight(void **state)
{
    (void)state;
    check(NORM_RMS_ONE_PLUS, false);
}

// Heads of 5 channels in tokens of 23 floats, 8 floats apart: the floats between and after them stay as they
// are.
static void check_heads(enum norm_kind kind, bool with_bias)
{
    enum { TOKENS = 3, HEADS = 2, SIZE = 5, TOKEN_STRIDE = 23, HEAD_STRIDE = 8, ALL = TOKENS * TOKEN_STRIDE };
    float *x = uniform_floats(ALL, 2.0F, 1), *expected = uniform_floats(ALL, 2.0F, 1);
    float *weight = uniform_floats(SIZE, 1.0F, 2), *bias = uniform_floats(SIZE, 1.0F, 3);
    const struct norm norm = {.weight = weight, .bias = with_bias ? bias : NULL};
    const struct heads heads = {x, TOKENS, TOKEN_STRIDE, HEADS, HEAD_STRIDE};
    bool is_head[ALL] = {false};

    for (size_t t = 0; t < TOKENS; t++)
        for (size_t h = 0; h < HEADS; h++) {
            float *head = expected + t * TOKEN_STRIDE + h * HEAD_STRIDE, copy[SIZE];
            memcpy(copy, head, sizeof copy);
            naive_norm(head, copy, 1, SIZE, &norm, kind, (double)1e-3F);
            for (size_t i = 0; i < SIZE; i++)
                is_head[t * TOKEN_STRIDE + h * HEAD_STRIDE + i] = true;
        }
    norm_heads(&heads, SIZE, &norm, kind, 1e-3F);
    for (size_t k = 0; k < ALL; k++)
        assert_close((double)x[k], (double)expected[k], is_head[k] ? tolerance : 0.0);
    free(x);
    free(expected);
    free(weight);
    free(bias);
}

static void heads_are_normed_one_by_one_where_they_lie(void **state)
{
    (void)state;
    check_heads(NORM_RMS, false);
    check_heads(NORM_RMS_ONE_PLUS, false);
    check_heads(NORM_LAYER, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_mean_square),
        cmocka_unit_test(layer_norm_of_one_plus_weight),
        cmocka_unit_test(norms_without_a_weight),
        cmocka_unit_test(layer_norm_with_and_without_bias),
        cmocka_unit_test(epsilon_keeps_zeros_zero),
        cmocka_unit_test(a_large_mean_does_not_drown_the_variance),
        cmocka_unit_test(gemma_adds_one_to_the_weight),
        cmocka_unit_test(heads_are_normed_one_by_one_where_they_lie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
