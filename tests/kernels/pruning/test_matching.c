// Output matching. The oracles: sums of one channel at a time in plain double (the same bits are promised),
// and factors and errors from the outputs themselves, token by token in long double, never from the sums.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/matching.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CHANNELS = 1100, TOKENS = 300 };

static const struct energy_clamp wide = {.low = 1e-6, .high = 1e6, .epsilon = 1e-8};

static void sums_are_those_of_adding_token_after_token(void **state)
{
    (void)state;
    static double got[OUTPUT_SUMS * (MOST_CHANNELS + 3)];
    struct random_state random = random_seed(5);
    const size_t channels[] = {1, 7, 8, 64, 511, 512, 513, MOST_CHANNELS};
    const size_t tokens[] = {1, 2, 7, 8, 9, 33};
    float *y = malloc(33 * MOST_CHANNELS * sizeof *y), *z = malloc(33 * MOST_CHANNELS * sizeof *z);

    for (size_t c = 0; c < sizeof channels / sizeof *channels; c++)
        for (size_t n = 0; n < sizeof tokens / sizeof *tokens; n++) {
            const size_t count = channels[c], stride = count + 3;
            random_fill(&random, y, tokens[n] * count, 3);
            random_fill(&random, z, tokens[n] * count, 0.01);
            memset(got, 0xee, sizeof got); // outputs are overwritten, not added to
            output_sums(got, stride, y, z, tokens[n], count);
            for (size_t i = 0; i < count; i++) {
                double expected[OUTPUT_SUMS] = {0};
                for (size_t t = 0; t < tokens[n]; t++) {
                    const double a = y[t * count + i], b = z[t * count + i];
                    const double terms[OUTPUT_SUMS] = {a, b, a * a, b * b, a * b};
                    for (size_t k = 0; k < OUTPUT_SUMS; k++)
                        expected[k] = expected[k] + terms[k];
                }
                for (size_t k = 0; k < OUTPUT_SUMS; k++)
                    assert_memory_equal(&got[k * stride + i], &expected[k], sizeof(double));
            }
        }
    free(y);
    free(z);
}

// Outputs of one channel and everything about them, from their definitions.
struct channel {
    float y[TOKENS], z[TOKENS];
    long double mean_y, mean_z, variance_y, variance_z, covariance;
};

static void make_channel(struct channel *channel, struct random_state *random, double scale, double noise,
                         double offset)
{
    memset(channel, 0, sizeof *channel);
    for (size_t t = 0; t < TOKENS; t++) {
        channel->y[t] = (float)(2 + random_normal(random));
        channel->z[t] = (float)(scale * (double)channel->y[t] + noise * random_normal(random) + offset);
        channel->mean_y += (long double)channel->y[t] / TOKENS;
        channel->mean_z += (long double)channel->z[t] / TOKENS;
    }
    for (size_t t = 0; t < TOKENS; t++) {
        const long double a = (long double)channel->y[t] - channel->mean_y;
        const long double b = (long double)channel->z[t] - channel->mean_z;
        channel->variance_y += a * a / TOKENS;
        channel->variance_z += b * b / TOKENS;
        channel->covariance += a * b / TOKENS;
    }
}

static struct output_moments moments_of(const struct channel *channel)
{
    double sums[OUTPUT_SUMS];
    struct output_moments moments;
    output_sums(sums, 1, channel->y, channel->z, TOKENS, 1);
    output_moments(&moments, sums, 1, TOKENS);
    return moments;
}

static long double squared_error(const struct channel *channel, long double gamma, long double shift)
{
    long double sum = 0;
    for (size_t t = 0; t < TOKENS; t++) {
        const long double e = (long double)channel->y[t] - gamma * (long double)channel->z[t] - shift;
        sum += e * e / TOKENS;
    }
    return sum;
}

// Sums of 300 doubles and a difference of two of them: below 300 ulps, 7e-14, times the size of what cancels.
static void assert_near(double got, long double expected, long double size)
{
    if (fabsl((long double)got - expected) > 1e-12L * size)
        fail_msg("%.17g instead of %.17g", got, (double)expected);
}

static void factors_are_those_of_the_definitions(void **state)
{
    (void)state;
    struct random_state random = random_seed(6);
    struct channel channel;
    const double scales[] = {1, 0.4, 3, -0.5}, noises[] = {0, 0.3, 2};

    for (size_t s = 0; s < 4; s++)
        for (size_t n = 0; n < 3; n++) {
            make_channel(&channel, &random, scales[s], noises[n], 0.7);
            const struct output_moments moments = moments_of(&channel);
            const long double moment = sqrtl(channel.variance_y / channel.variance_z);
            const long double regression = fmaxl(channel.covariance / channel.variance_z, 0.001L);
            assert_near(moments.mean_y, channel.mean_y, 3);
            assert_near(moments.mean_z, channel.mean_z, 10);
            assert_near(moments.variance_y, channel.variance_y, 5);
            assert_near(moments.variance_z, channel.variance_z, 50);
            assert_near(moments.covariance, channel.covariance, 15);
            assert_true(matching_factor(MATCHING_OFF, &moments, &wide) == 1);
            assert_near(matching_factor(MATCHING_MOMENT, &moments, &wide), moment, 100);
            assert_near(matching_factor(MATCHING_REGRESSION, &moments, &wide), regression, 100);
            assert_near(matching_factor(MATCHING_MIXED, &moments, &wide), sqrtl(regression * moment), 100);
        }
}

static void the_error_is_that_of_the_outputs_themselves(void **state)
{
    (void)state;
    struct random_state random = random_seed(7);
    struct channel channel;

    make_channel(&channel, &random, 0.6, 0.4, -1);
    const struct output_moments moments = moments_of(&channel);
    for (int i = -2; i <= 4; i++)
        for (int k = -1; k <= 1; k++)
            assert_near(output_error(&moments, 0.5 * i, 0.8 * k),
                        squared_error(&channel, 0.5L * i, (long double)(0.8 * k)), 50);
}

// Regression with its shift is least squares: no other factor and shift does better. The moment brings the
// variance back, exactly.
static void regression_leaves_the_least_error_and_moment_the_same_variance(void **state)
{
    (void)state;
    struct random_state random = random_seed(8);
    struct channel channel;

    make_channel(&channel, &random, 0.6, 0.8, 2);
    const struct output_moments moments = moments_of(&channel);
    const double gamma = matching_factor(MATCHING_REGRESSION, &moments, &wide);
    const double shift = matching_shift(&moments, gamma);
    const double least = output_error(&moments, gamma, shift);
    assert_near(least, squared_error(&channel, (long double)gamma, (long double)shift), 20);
    for (int i = -1; i <= 1; i++)
        for (int k = -1; k <= 1; k++)
            if (i != 0 || k != 0)
                assert_true(output_error(&moments, gamma + 0.01 * i, shift + 0.01 * k) > least);
    const double moment = matching_factor(MATCHING_MOMENT, &moments, &wide);
    assert_near(moment * moment * moments.variance_z, channel.variance_y, 10);
}

static void what_pruning_did_not_touch_stays_as_it_is_to_the_bit(void **state)
{
    (void)state;
    struct random_state random = random_seed(9);
    struct channel channel;

    make_channel(&channel, &random, 1, 0, 0);
    memcpy(channel.z, channel.y, sizeof channel.z);
    const struct output_moments moments = moments_of(&channel);
    for (int m = MATCHING_OFF; m <= MATCHING_MIXED; m++) {
        const double gamma = matching_factor((enum matching)m, &moments, &wide);
        assert_true(gamma == 1 && matching_shift(&moments, gamma) == 0 &&
                    output_error(&moments, gamma, 0) == 0);
    }
}

static void an_output_that_does_not_vary_is_not_scaled_but_moved(void **state)
{
    (void)state;
    struct random_state random = random_seed(10);
    struct channel channel;
    const float values[] = {0, 0.1F, -1e5F};

    for (size_t v = 0; v < 3; v++) {
        make_channel(&channel, &random, 1, 0, 0);
        for (size_t t = 0; t < TOKENS; t++)
            channel.z[t] = values[v];
        const struct output_moments moments = moments_of(&channel);
        assert_true(moments.variance_z == 0);
        for (int m = MATCHING_OFF; m <= MATCHING_MIXED; m++)
            assert_true(matching_factor((enum matching)m, &moments, &wide) == 1);
        assert_near(matching_shift(&moments, 1), channel.mean_y - (long double)values[v], 1e5L);
    }
}

static void a_factor_is_clamped(void **state)
{
    (void)state;
    const struct output_moments small = {.variance_y = 4, .variance_z = 100, .covariance = -3};
    const struct output_moments large = {.variance_y = 100, .variance_z = 0.01, .covariance = 0.9};
    const struct energy_clamp clamp = {.low = 0.25, .high = 8, .epsilon = 1e-8};

    for (int m = MATCHING_MOMENT; m <= MATCHING_MIXED; m++) {
        assert_true(matching_factor((enum matching)m, &small, &clamp) == 0.25);
        assert_true(matching_factor((enum matching)m, &large, &clamp) == 8);
    }
    assert_true(matching_factor(MATCHING_REGRESSION, &small, &wide) == 0.001); // negative, so counted as that
}

static void without_tokens_there_is_nothing_to_match(void **state)
{
    (void)state;
    double sums[OUTPUT_SUMS];
    struct output_moments moments;

    memset(sums, 0xee, sizeof sums);
    output_sums(sums, 1, NULL, NULL, 0, 1);
    output_moments(&moments, sums, 1, 0);
    assert_true(matching_factor(MATCHING_MIXED, &moments, &wide) == 1 && matching_shift(&moments, 1) == 0);
}

static void outputs_that_are_not_finite_are_not_hidden(void **state)
{
    (void)state;
    const float y[2] = {1, 2}, z[2] = {INFINITY, 1};
    double sums[OUTPUT_SUMS];
    struct output_moments moments;

    output_sums(sums, 1, y, z, 2, 1);
    output_moments(&moments, sums, 1, 2);
    assert_true(isnan(moments.variance_z) && isnan(output_error(&moments, 1, 0)));
}

static void names_are_in_the_order_of_the_values(void **state)
{
    (void)state;
    size_t count;
    const char *const *names = matching_names(&count);
    assert_int_equal(count, 5);
    assert_string_equal(names[MATCHING_OFF], "off");
    assert_string_equal(names[MATCHING_MOMENT], "moment");
    assert_string_equal(names[MATCHING_REGRESSION], "regression");
    assert_string_equal(names[MATCHING_MIXED], "mixed");
    assert_string_equal(names[MATCHING_LEAST_SQUARES], "least_squares");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_adding_token_after_token),
        cmocka_unit_test(factors_are_those_of_the_definitions),
        cmocka_unit_test(the_error_is_that_of_the_outputs_themselves),
        cmocka_unit_test(regression_leaves_the_least_error_and_moment_the_same_variance),
        cmocka_unit_test(what_pruning_did_not_touch_stays_as_it_is_to_the_bit),
        cmocka_unit_test(an_output_that_does_not_vary_is_not_scaled_but_moved),
        cmocka_unit_test(a_factor_is_clamped),
        cmocka_unit_test(without_tokens_there_is_nothing_to_match),
        cmocka_unit_test(outputs_that_are_not_finite_are_not_hidden),
        cmocka_unit_test(names_are_in_the_order_of_the_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
