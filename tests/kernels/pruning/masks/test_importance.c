// Importance. The oracles compute one weight at a time from the formulas; the score must agree to the bit,
// because kernels/METHOD.md §3 fixes every rounding.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/masks/importance.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_IN = 2060, MOST_OUT = 40 }; // more columns than the kernel takes at a time

static void every_method_has_a_name_of_its_own(void **state)
{
    (void)state;
    size_t count;
    const char *const *names = method_names(&count);

    assert_int_equal(count, NUM_METHODS);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(method_name((enum method)i), names[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(names[k], names[i]);
    }
    // Run directories of earlier versions say these.
    assert_string_equal(method_name(METHOD_SPARSEGPT), "sparsegpt");
    assert_string_equal(method_name(METHOD_AUTO), "auto");
}

// The factor of a channel with these statistics.
static float factor_of(enum method method, const struct importance_parameters *parameters,
                       double second_moment, double variance, double column_variance)
{
    float factor;
    importance_factors(&factor, method, parameters, &second_moment, &variance, &column_variance, 1);
    return factor;
}

// Statistics that are not asked for are not read from files, and those that are asked for cost time.
static void a_method_needs_what_its_factor_depends_on(void **state)
{
    (void)state;
    const struct importance_parameters none = {.alpha = 0, .epsilon = 1e-8, .exponent = 0},
                                       activation = {.alpha = 0, .epsilon = 1e-8, .exponent = 0.3},
                                       weights = {.alpha = 0.3, .epsilon = 1e-8, .exponent = 0};

    for (size_t i = 0; i < NUM_METHODS; i++) {
        const enum method m = (enum method)i;
        const struct importance_parameters own = importance_defaults(m);
        const struct importance_parameters *all[] = {&own, &none, &activation, &weights};
        if (!method_has_factors(m)) {
            assert_true(method_needs(m) & (NEEDS_HESSIAN | NEEDS_OUTPUTS | NEEDS_EQUATIONS));
            continue;
        }
        assert_int_equal(method_needs(m), importance_needs(m, &own));
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) {
            const unsigned needs = importance_needs(m, all[k]);
            const float usual = factor_of(m, all[k], 2, 2, 2);
            const bool statistics =
                factor_of(m, all[k], 5, 2, 2) != usual || factor_of(m, all[k], 2, 5, 2) != usual;
            assert_int_equal((needs & NEEDS_STATISTICS) != 0, statistics);
            assert_int_equal((needs & NEEDS_COLUMN_VARIANCE) != 0, factor_of(m, all[k], 2, 2, 5) != usual);
            assert_int_equal(needs & (NEEDS_HESSIAN | NEEDS_OUTPUTS), 0);
        }
    }
}

// ---- factors --------------------------------------------------------------------------------------------

// At the method's own point of the space.
static void factors_of(float *factors, enum method method, const double *second_moment,
                       const double *variance, const double *column_variance, size_t in)
{
    const struct importance_parameters own = importance_defaults(method);
    importance_factors(factors, method, &own, second_moment, variance, column_variance, in);
}

// The double nearest to an exact value may be one ulp away from what pow() gives; that moves the float32 only
// when it lies within 1e-9 ulps of the middle between two. So: the same float32 as from long double
// arithmetic.
static void factors_are_those_of_the_formulas(void **state)
{
    (void)state;
    enum { IN = 500 };
    double second_moment[IN], variance[IN], column_variance[IN];
    float factors[IN];
    struct random_state random = random_seed(15);

    for (size_t j = 0; j < IN; j++) {
        second_moment[j] = pow(10, 12 * random_uniform(&random) - 8);
        variance[j] = second_moment[j] * random_uniform(&random);
        column_variance[j] = pow(10, 8 * random_uniform(&random) - 8);
    }
    factors_of(factors, METHOD_MAGNITUDE, NULL, NULL, NULL, IN);
    for (size_t j = 0; j < IN; j++)
        assert_true(factors[j] == 1);
    factors_of(factors, METHOD_WANDA, second_moment, NULL, NULL, IN);
    for (size_t j = 0; j < IN; j++)
        assert_true(factors[j] == (float)sqrt(second_moment[j]));
    factors_of(factors, METHOD_RIA, second_moment, NULL, NULL, IN);
    for (size_t j = 0; j < IN; j++) // s^(a / 2), a = 0.5
        assert_true(factors[j] == (float)sqrtl(sqrtl((long double)second_moment[j])));
    factors_of(factors, METHOD_CVR, NULL, variance, column_variance, IN);
    for (size_t j = 0; j < IN; j++)
        assert_true(factors[j] == (float)(sqrtl(sqrtl((long double)variance[j])) *
                                          expl(logl((long double)column_variance[j] + 1e-8L) * -0.125L)));

    // Any other point of the space: the method only says which statistic of the activations is raised.
    const struct importance_parameters others = {.alpha = 0.7, .epsilon = 1e-5, .exponent = 0.65};
    const enum method all[] = {METHOD_MAGNITUDE, METHOD_WANDA, METHOD_RIA, METHOD_CVR};
    for (size_t m = 0; m < 4; m++) {
        const double *activation = all[m] == METHOD_CVR ? variance : second_moment;
        importance_factors(factors, all[m], &others, second_moment, variance, column_variance, IN);
        for (size_t j = 0; j < IN; j++)
            assert_true(factors[j] ==
                        (float)(expl(logl((long double)activation[j]) * 0.65L) *
                                expl(logl((long double)column_variance[j] + (long double)others.epsilon) *
                                     -(long double)others.alpha / 2)));
    }
}

static void an_exponent_of_zero_leaves_its_factor_out_and_needs_nothing(void **state)
{
    (void)state;
    const struct importance_parameters none = {.alpha = 0, .epsilon = 1e-8, .exponent = 0},
                                       both = {.alpha = 0.1, .epsilon = 1e-8, .exponent = 0.1};
    const double zero = 0;
    float factor;

    assert_int_equal(importance_needs(METHOD_WANDA, &none), 0);
    assert_int_equal(importance_needs(METHOD_CVR, &none), 0);
    assert_int_equal(importance_needs(METHOD_RIA, &none), NEEDS_ABSOLUTE_SUMS);
    assert_int_equal(importance_needs(METHOD_MAGNITUDE, &both), NEEDS_STATISTICS | NEEDS_COLUMN_VARIANCE);
    assert_int_equal(importance_needs(METHOD_RIA, &both),
                     NEEDS_STATISTICS | NEEDS_COLUMN_VARIANCE | NEEDS_ABSOLUTE_SUMS);
    assert_int_equal(importance_needs(METHOD_SPARSEGPT, &both), NEEDS_HESSIAN);
    importance_factors(&factor, METHOD_WANDA, &none, &zero, NULL, NULL, 1);
    assert_true(factor == 1);
}

static void a_channel_that_never_fires_gets_a_factor_of_zero(void **state)
{
    (void)state;
    const double zero = 0, some = 0.01;
    float factor;

    factors_of(&factor, METHOD_WANDA, &zero, &zero, &some, 1);
    assert_true(factor == 0);
    factors_of(&factor, METHOD_RIA, &zero, &zero, &some, 1);
    assert_true(factor == 0);
    factors_of(&factor, METHOD_CVR, &zero, &zero, &some, 1);
    assert_true(factor == 0);
    factors_of(&factor, METHOD_CVR, &zero, &zero, &zero, 1); // epsilon keeps it from 0 / 0
    assert_true(factor == 0);
}

static void with_alpha_zero_the_weight_variance_does_not_matter(void **state)
{
    (void)state;
    const struct importance_parameters parameters = {.alpha = 0, .epsilon = 0, .exponent = 0.25};
    const double variance = 16, column_variances[] = {0, 1e-30, 1, 1e30};
    float factor;

    for (size_t i = 0; i < 4; i++) {
        importance_factors(&factor, METHOD_CVR, &parameters, NULL, &variance, &column_variances[i], 1);
        assert_true(factor == 2);
    }
}

static void what_is_not_finite_is_passed_on_for_the_caller_to_find(void **state)
{
    (void)state;
    const double nan = (double)NAN, zero = 0, one = 1;
    const struct importance_parameters no_epsilon = {.alpha = 0.25, .epsilon = 0, .exponent = 0.25};
    float factor;

    factors_of(&factor, METHOD_WANDA, &nan, NULL, NULL, 1);
    assert_true(isnan(factor));
    importance_factors(&factor, METHOD_CVR, &no_epsilon, NULL, &one, &zero, 1);
    assert_true(isinf(factor));
}

// ---- sums down the columns ------------------------------------------------------------------------------

static void moments_oracle(double *mean, double *variance, double *absolute_sum, const float *weight,
                           size_t out, size_t in)
{
    for (size_t j = 0; j < in; j++) {
        double sum = 0, absolute = 0, squares = 0;
        for (size_t i = 0; i < out; i++)
            sum += (double)weight[i * in + j];
        for (size_t i = 0; i < out; i++)
            absolute += fabs((double)weight[i * in + j]);
        mean[j] = sum / (double)out;
        absolute_sum[j] = absolute;
        for (size_t i = 0; i < out; i++) {
            const double centred = (double)weight[i * in + j] - mean[j];
            squares += centred * centred;
        }
        variance[j] = squares / (double)out;
    }
}

static void column_moments_are_those_of_adding_row_after_row_however_columns_are_split(void **state)
{
    (void)state;
    struct random_state random = random_seed(16);
    static float weight[MOST_OUT * MOST_IN];
    static double expected[3][MOST_IN], got[3][MOST_IN];
    const size_t shapes[][2] = {{1, 1}, {5, 1}, {1, 9}, {4, 8}, {6, 513}, {39, 100}, {MOST_OUT, MOST_IN}};

    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t out = shapes[s][0], in = shapes[s][1];
        random_fill(&random, weight, out * in, 0.02);
        moments_oracle(expected[0], expected[1], expected[2], weight, out, in);
        for (size_t parts = 1; parts <= 7; parts++) {
            memset(got, 0xee, sizeof got);
            for (size_t part = 0; part < parts; part++) {
                const size_t first = in * part / parts, count = in * (part + 1) / parts - first;
                column_moments(&(struct column_moments){got[0] + first, got[1] + first, got[2] + first},
                               &(struct matrix_view){weight + first, out, count, in});
            }
            for (size_t k = 0; k < 3; k++)
                assert_memory_equal(got[k], expected[k], in * sizeof **got);
        }
    }
}

static void outputs_that_are_not_asked_for_are_skipped(void **state)
{
    (void)state;
    struct random_state random = random_seed(17);
    static float weight[10 * 20];
    double all[3][20], one[20];

    random_fill(&random, weight, 200, 1);
    const struct matrix_view view = {weight, 10, 20, 20};
    column_moments(&(struct column_moments){all[0], all[1], all[2]}, &view);
    column_moments(&(struct column_moments){.mean = one}, &view);
    assert_memory_equal(one, all[0], sizeof one);
    column_moments(&(struct column_moments){.variance = one}, &view);
    assert_memory_equal(one, all[1], sizeof one);
    column_moments(&(struct column_moments){.absolute_sum = one}, &view);
    assert_memory_equal(one, all[2], sizeof one);
    column_moments(&(struct column_moments){.mean = NULL}, &view);
}

static void a_constant_column_has_no_variance_and_an_empty_one_no_sum(void **state)
{
    (void)state;
    const float weight[3 * 2] = {0.1F, 0, 0.1F, -0.0F, 0.1F, 0};
    double mean[2], variance[2], absolute[2];

    column_moments(&(struct column_moments){mean, variance, absolute},
                   &(struct matrix_view){weight, 3, 2, 2});
    assert_true(variance[0] >= 0 && variance[0] < 1e-33); // one rounding of the mean
    assert_true(mean[1] == 0 && variance[1] == 0 && absolute[1] == 0);
}

// ---- scores ---------------------------------------------------------------------------------------------

static void a_score_is_one_product_in_float32(void **state)
{
    (void)state;
    struct random_state random = random_seed(18);
    float row[MOST_IN], factors[MOST_IN], scores[MOST_IN + 1];
    const size_t sizes[] = {1, 2, 7, 8, 15, 17, 64, 65, 1000, MOST_IN};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        random_fill(&random, row, sizes[s], 0.02);
        random_fill(&random, factors, sizes[s], 3);
        row[0] = -0.0F;
        for (size_t j = 0; j < sizes[s]; j++)
            factors[j] = fabsf(factors[j]);
        scores[sizes[s]] = 42;
        importance_row(scores, row, factors, NULL, sizes[s]);
        for (size_t j = 0; j < sizes[s]; j++) {
            // The product of two float32 is exact in double: this rounds once.
            const float expected = (float)(fabs((double)row[j]) * (double)factors[j]);
            assert_memory_equal(&scores[j], &expected, sizeof expected); // never -0
        }
        assert_true(scores[sizes[s]] == 42);
    }
}

// b_i as the header of the kernel's lanes describes it: 64 partial sums, then halves onto halves.
static double row_sum_oracle(const float *row, size_t in)
{
    double partial[64];

    for (size_t lane = 0; lane < 64; lane++) {
        partial[lane] = 0;
        for (size_t j = lane; j < in; j += 64)
            partial[lane] += fabs((double)row[j]);
    }
    for (size_t width = 64; width > 1; width /= 2)
        for (size_t lane = 0; lane < width / 2; lane++)
            partial[lane] = partial[lane] + partial[lane + width / 2];
    return partial[0];
}

static void the_score_of_ria_is_relative_to_row_and_column(void **state)
{
    (void)state;
    struct random_state random = random_seed(19);
    static float weight[9 * MOST_IN];
    float factors[MOST_IN], reciprocal[MOST_IN], scores[MOST_IN];
    double absolute[MOST_IN];
    const size_t sizes[] = {1, 3, 8, 63, 64, 65, 127, 500, MOST_IN};

    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t in = sizes[s];
        random_fill(&random, weight, 9 * in, 0.02);
        random_fill(&random, factors, in, 1);
        column_moments(&(struct column_moments){.absolute_sum = absolute},
                       &(struct matrix_view){weight, 9, in, in});
        reciprocal_sums(reciprocal, absolute, in);
        for (size_t i = 0; i < 9; i++) {
            const float *row = weight + i * in;
            const float b = (float)(1 / row_sum_oracle(row, in));
            importance_row(scores, row, factors, reciprocal, in);
            for (size_t j = 0; j < in; j++) {
                volatile float sum = reciprocal[j] + b; // volatile: each is rounded to float32
                volatile float factor = sum * factors[j];
                volatile float expected = fabsf(row[j]) * factor;
                assert_true(scores[j] == expected);
                // And the formula in one piece: three roundings and those of a and b, each half an ulp of
                // 2^-23.
                const double exact =
                    (fabs((double)row[j]) / absolute[j] + fabs((double)row[j]) / row_sum_oracle(row, in)) *
                    (double)factors[j];
                assert_true(fabs((double)scores[j] - exact) <= 4 * 0x1p-23 * fabs(exact));
            }
        }
    }
}

static void an_all_zero_row_or_column_scores_zero_in_ria(void **state)
{
    (void)state;
    const float row[4] = {0, 0, -0.0F, 0}, factors[4] = {1, 1, 1, 1};
    const double sums[4] = {0, 2, 3, 0};
    float reciprocal[4], scores[4];

    reciprocal_sums(reciprocal, sums, 4);
    assert_true(reciprocal[0] == 0 && reciprocal[1] == 0.5F && reciprocal[2] == (float)(1.0 / 3));
    importance_row(scores, row, factors, reciprocal, 4);
    for (size_t j = 0; j < 4; j++)
        assert_true(scores[j] == 0 && signbit(scores[j]) == 0);
}

static void a_sum_of_denormals_has_a_reciprocal_that_is_still_finite(void **state)
{
    (void)state;
    const double sums[4] = {0x1p-149, 0x1p-126, 0x1.8p-127, 0x1p-125};
    const float row[2] = {0, 0x1p-149F}, factors[2] = {1, 1};
    float reciprocal[4], scores[2];

    reciprocal_sums(reciprocal, sums, 4);
    assert_true(reciprocal[0] == 0x1p126F && reciprocal[1] == 0x1p126F);
    assert_true(reciprocal[2] == 0x1p126F && reciprocal[3] == 0x1p125F);
    importance_row(scores, row, factors, reciprocal, 2);
    assert_true(scores[0] == 0); // and not 0 times infinity
    assert_true(scores[1] == 0x1p-149F * 0x1p126F * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_has_a_name_of_its_own),
        cmocka_unit_test(a_method_needs_what_its_factor_depends_on),
        cmocka_unit_test(factors_are_those_of_the_formulas),
        cmocka_unit_test(an_exponent_of_zero_leaves_its_factor_out_and_needs_nothing),
        cmocka_unit_test(a_channel_that_never_fires_gets_a_factor_of_zero),
        cmocka_unit_test(with_alpha_zero_the_weight_variance_does_not_matter),
        cmocka_unit_test(what_is_not_finite_is_passed_on_for_the_caller_to_find),
        cmocka_unit_test(column_moments_are_those_of_adding_row_after_row_however_columns_are_split),
        cmocka_unit_test(outputs_that_are_not_asked_for_are_skipped),
        cmocka_unit_test(a_constant_column_has_no_variance_and_an_empty_one_no_sum),
        cmocka_unit_test(a_score_is_one_product_in_float32),
        cmocka_unit_test(the_score_of_ria_is_relative_to_row_and_column),
        cmocka_unit_test(an_all_zero_row_or_column_scores_zero_in_ria),
        cmocka_unit_test(a_sum_of_denormals_has_a_reciprocal_that_is_still_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
