// Channel statistics. The oracle walks one channel at a time, in plain double: the kernel must give the same
// bits, because it promises to add the tokens in their order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/masks/statistics.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CHANNELS = 2060 }; // more than the kernel takes at a time

struct sums {
    double sum[MOST_CHANNELS], squares[MOST_CHANNELS], largest[MOST_CHANNELS];
};

static void sums_oracle(struct sums *sums, const float *x, size_t tokens, size_t channels)
{
    for (size_t j = 0; j < channels; j++) {
        sums->sum[j] = sums->squares[j] = sums->largest[j] = 0;
        for (size_t t = 0; t < tokens; t++) {
            const double value = x[t * channels + j];
            sums->sum[j] = sums->sum[j] + value;
            sums->squares[j] = sums->squares[j] + value * value;
            sums->largest[j] = fmax(sums->largest[j], fabs(value));
        }
    }
}

static void assert_same_sums(const struct sums *a, const struct sums *b, size_t channels)
{
    assert_memory_equal(a->sum, b->sum, channels * sizeof *a->sum);
    assert_memory_equal(a->squares, b->squares, channels * sizeof *a->squares);
    assert_memory_equal(a->largest, b->largest, channels * sizeof *a->largest);
}

static void sums_are_those_of_adding_token_after_token(void **state)
{
    (void)state;
    static struct sums got, expected;
    struct random_state random = random_seed(3);
    const size_t channels[] = {1, 2, 7, 8, 63, 64, 65, 513, 2047, 2048, 2049, MOST_CHANNELS};
    const size_t tokens[] = {1, 2, 3, 4, 5, 31, 64};
    float *x = malloc(64 * MOST_CHANNELS * sizeof *x);

    for (size_t c = 0; c < sizeof channels / sizeof *channels; c++)
        for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++) {
            random_fill(&random, x, tokens[t] * channels[c], pow(10, 6 * random_uniform(&random) - 3));
            memset(&got, 0xee, sizeof got); // outputs are overwritten, not added to
            channel_sums(got.sum, got.squares, got.largest, x, tokens[t], channels[c]);
            sums_oracle(&expected, x, tokens[t], channels[c]);
            assert_same_sums(&got, &expected, channels[c]);
        }
    free(x);
}

static void without_tokens_all_sums_are_zero(void **state)
{
    (void)state;
    static struct sums got;

    memset(&got, 0xee, sizeof got);
    channel_sums(got.sum, got.squares, got.largest, NULL, 0, 5);
    for (size_t j = 0; j < 5; j++)
        assert_true(got.sum[j] == 0 && got.squares[j] == 0 && got.largest[j] == 0);
}

static void squares_of_huge_and_of_denormal_activations_are_neither_infinite_nor_lost(void **state)
{
    (void)state;
    double sum[2], squares[2], largest[2];
    const float x[4] = {3e38F, 1e-45F, -3e38F, 1e-45F};

    channel_sums(sum, squares, largest, x, 2, 2);
    assert_true(sum[0] == 0 && squares[0] == 2 * ((double)3e38F * (double)3e38F) &&
                largest[0] == (double)3e38F);
    assert_true(sum[1] == 0x1p-148 && squares[1] == 0x1p-297 && largest[1] == 0x1p-149);
}

static void a_nan_or_infinity_reaches_the_sums(void **state)
{
    (void)state;
    double sum[2], squares[2], largest[2], mean[2], variance[2], second[2];
    const float x[4] = {1, INFINITY, NAN, 1};

    channel_sums(sum, squares, largest, x, 2, 2);
    assert_true(isnan(sum[0]) && isnan(squares[0]));
    assert_true(isinf(sum[1]) && isinf(squares[1]) && isinf(largest[1]));
    channel_moments(mean, variance, second, sum, squares, 2, 2);
    assert_true(isnan(mean[0]) && isnan(variance[0]) &&
                isnan(second[0])); // not hidden by the lower bound of 0
}

// Against the two-pass definition, which knows no cancellation.
static void moments_are_mean_second_moment_and_population_variance(void **state)
{
    (void)state;
    enum { TOKENS = 500, CHANNELS = 20 };
    static float x[TOKENS * CHANNELS];
    static struct sums sums;
    double mean[CHANNELS], variance[CHANNELS], second[CHANNELS];
    struct random_state random = random_seed(4);

    for (size_t t = 0; t < TOKENS; t++)
        for (size_t j = 0; j < CHANNELS; j++)
            x[t * CHANNELS + j] = (float)(pow(10, (double)j / 5 - 2) * random_normal(&random) + (double)j);
    channel_sums(sums.sum, sums.squares, sums.largest, x, TOKENS, CHANNELS);
    channel_moments(mean, variance, second, sums.sum, sums.squares, TOKENS, CHANNELS);
    for (size_t j = 0; j < CHANNELS; j++) {
        long double m = 0, s = 0, v = 0;
        for (size_t t = 0; t < TOKENS; t++) {
            m += (long double)x[t * CHANNELS + j] / TOKENS;
            s += (long double)x[t * CHANNELS + j] * (long double)x[t * CHANNELS + j] / TOKENS;
        }
        for (size_t t = 0; t < TOKENS; t++)
            v += ((long double)x[t * CHANNELS + j] - m) * ((long double)x[t * CHANNELS + j] - m) / TOKENS;
        // Sums of 500 doubles err by less than 500 ulps (1.1e-13) of the sum of magnitudes; the variance is a
        // difference of two numbers of the second moment's size.
        assert_true(fabsl((long double)mean[j] - m) <= 1.2e-13L * sqrtl(s));
        assert_true(fabsl((long double)second[j] - s) <= 1.2e-13L * s);
        assert_true(fabsl((long double)variance[j] - v) <= 3.6e-13L * s);
    }
}

static void a_constant_channel_has_no_variance_and_never_a_negative_one(void **state)
{
    (void)state;
    enum { TOKENS = 77 };
    float x[TOKENS];
    double sum, squares, largest, mean, variance, second;
    struct random_state random = random_seed(5);
    size_t negative_without_care = 0;

    for (size_t i = 0; i < 2000; i++) {
        const float value = (float)(1000 * random_normal(&random));
        for (size_t t = 0; t < TOKENS; t++)
            x[t] = value;
        channel_sums(&sum, &squares, &largest, x, TOKENS, 1);
        channel_moments(&mean, &variance, &second, &sum, &squares, TOKENS, 1);
        negative_without_care += squares / TOKENS < (sum / TOKENS) * (sum / TOKENS);
        assert_true(variance >= 0);
        assert_true(variance <= 1e-13 * second); // rounding of sums of 77
    }
    assert_true(negative_without_care > 0); // the case exists
}

static void without_any_token_all_moments_are_zero(void **state)
{
    (void)state;
    const double sum[3] = {0}, squares[3] = {0};
    double mean[3], variance[3], second[3];

    channel_moments(mean, variance, second, sum, squares, 0, 3);
    for (size_t j = 0; j < 3; j++)
        assert_true(mean[j] == 0 && variance[j] == 0 && second[j] == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_adding_token_after_token),
        cmocka_unit_test(without_tokens_all_sums_are_zero),
        cmocka_unit_test(squares_of_huge_and_of_denormal_activations_are_neither_infinite_nor_lost),
        cmocka_unit_test(a_nan_or_infinity_reaches_the_sums),
        cmocka_unit_test(moments_are_mean_second_moment_and_population_variance),
        cmocka_unit_test(a_constant_channel_has_no_variance_and_never_a_negative_one),
        cmocka_unit_test(without_any_token_all_moments_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
