// Normalisation against plain loops in double.
#include "kernels/forward/norm.h"
#include "tests/support/naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

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

static void a_large_mean_does_not_drown_the_variance(void **state)
{
    (void)state;
    const float x[4] = {10001, 10002, 10003, 10004}, weight[4] = {1, 1, 1, 1};
    const double expected[4] = {-1.3416407865, -0.4472135955, 0.4472135955,
                                1.3416407865}; // (+-1.5, +-0.5) / sqrt(1.25)
    float out[4];
    norm_forward(out, x, 1, 4, &(struct norm){.weight = weight}, NORM_LAYER, 0.0F);
    for (int i = 0; i < 4; i++)
        assert_close((double)out[i], expected[i], 1e-6);
}

static void gemma_adds_one_to_the_weight(void **state)
{
    (void)state;
    const float x[2] = {3, -4}, weight[2] = {0, 1}, shifted[2] = {1, 2};
    float out[2], expected[2];
    norm_forward(out, x, 1, 2, &(struct norm){.weight = weight}, NORM_RMS_ONE_PLUS, 0.0F);
    norm_forward(expected, x, 1, 2, &(struct norm){.weight = shifted}, NORM_RMS, 0.0F);
    assert_memory_equal(out, expected, sizeof out);
}

static void heads_are_normed_one_by_one_where_they_lie(void **state)
{
    (void)state;
    const float weight[2] = {1, 2};
    const struct norm norm = {.weight = weight};
    float x[2][7] = {{3, 4, 90, 91, -1, 2, 92},
                     {5, 6, 93, 94, 7, 8, 95}}; // two heads of two, four floats apart
    for (int t = 0; t < 2; t++) {
        float expected[2][2];
        norm_forward(expected[0], &x[t][0], 1, 2, &norm, NORM_RMS, 1e-6F);
        norm_forward(expected[1], &x[t][4], 1, 2, &norm, NORM_RMS, 1e-6F);
        const float others[3] = {x[t][2], x[t][3], x[t][6]};
        norm_heads(&(struct heads){&x[t][0], 1, 7, 2, 4}, 2, &norm, NORM_RMS, 1e-6F);
        assert_memory_equal(&x[t][0], expected[0], sizeof expected[0]);
        assert_memory_equal(&x[t][4], expected[1], sizeof expected[1]);
        assert_true(x[t][2] == others[0] && x[t][3] == others[1] && x[t][6] == others[2]);
    }
}

static void heads_of_several_tokens(void **state)
{
    (void)state;
    const float weight[2] = {1, 1};
    float x[2][3] = {{3, 4, 9}, {-4, 3, 9}};
    const float half = 0.7071067812F; // (3, 4) / (5 / sqrt 2)
    norm_heads(&(struct heads){&x[0][0], 2, 3, 1, 2}, 2, &(struct norm){.weight = weight}, NORM_RMS, 0.0F);
    assert_close((double)x[0][0], (double)half * 3.0 / 2.5, 1e-6);
    assert_close((double)x[1][0], (double)half * -4.0 / 2.5, 1e-6);
    assert_true(x[0][2] == 9 && x[1][2] == 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(root_mean_square),
        cmocka_unit_test(layer_norm_with_and_without_bias),
        cmocka_unit_test(epsilon_keeps_zeros_zero),
        cmocka_unit_test(a_large_mean_does_not_drown_the_variance),
        cmocka_unit_test(gemma_adds_one_to_the_weight),
        cmocka_unit_test(heads_are_normed_one_by_one_where_they_lie),
        cmocka_unit_test(heads_of_several_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
