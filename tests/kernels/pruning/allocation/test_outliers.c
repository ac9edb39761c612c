// Outlier counts against a loop over a copy; the layers' target sparsities against their definition.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/allocation/outliers.h"
#include "tests/support/random.h"

#include <math.h>

enum { LAYERS = 7, MOST = 300 };

// Sums of a few terms near 1 in double.
static const double rounding = 1e-14;

static void scores_are_summed_and_counted(void **state)
{
    struct random_state random = random_seed(1);
    static const size_t sizes[] = {0, 1, 7, 8, 9, 299};
    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        float scores[MOST];
        long double sum = 0; // the oracle: backwards and wider
        uint64_t above = 0;
        random_fill(&random, scores, sizes[k], 1);
        for (size_t i = sizes[k]; i-- > 0;) {
            scores[i] = fabsf(scores[i]);
            sum += (long double)scores[i];
            above += scores[i] > 0.75F ? 1 : 0;
        }
        assert_true(fabsl((long double)outlier_sum(scores, sizes[k]) - sum) <= 1e-12L * sum);
        assert_true(outlier_count(scores, sizes[k], 0.75) == above);
    }
}

static void a_score_at_the_limit_is_no_outlier(void **state)
{
    static const float scores[] = {1, 2, 3, 2};
    (void)state;
    assert_int_equal(outlier_count(scores, 4, 2), 1);
    // The limit is not rounded to float: just below 2 all three count.
    assert_int_equal(outlier_count(scores, 4, 2 - 1e-12), 3);
}

static void the_weighted_mean_is_the_sparsity_and_none_is_further_than_the_range(void **state)
{
    struct random_state random = random_seed(2);
    (void)state;
    for (int round = 0; round < 200; round++) {
        double ratios[LAYERS], weights[LAYERS], targets[LAYERS], total = 0, mean = 0, furthest = 0;
        const double sparsity = random_uniform(&random), range = 0.3 * random_uniform(&random);
        for (size_t l = 0; l < LAYERS; l++) {
            ratios[l] = 0.1 * random_uniform(&random);
            weights[l] = (double)random_below(&random, 1000);
        }
        weights[0] = 1; // never all of them 0
        weights[1] = 7;
        outlier_targets(targets, ratios, weights, LAYERS, sparsity, range);
        for (size_t l = 0; l < LAYERS; l++) {
            total += weights[l];
            mean += weights[l] * targets[l];
            if (weights[l] > 0)
                furthest = fmax(furthest, fabs(targets[l] - sparsity));
            assert_true(targets[l] >= 0 && targets[l] <= 1);
        }
        assert_true(fabs(mean / total - sparsity) < rounding);
        // As far as it may be, and no further: pruning cannot go below 0 or above 1.
        assert_true(fabs(furthest - fmin(range, fmin(sparsity, 1 - sparsity))) < rounding);
        for (size_t l = 1; l < LAYERS; l++)
            if (weights[l] > 0 && ratios[l] > ratios[0])
                assert_true(targets[l] < targets[0]);
    }
}

// Worked out by hand: mean (2 * 1 + 1 * 4) / 3 = 2 of 1 and 4 per cent, furthest 2, so that 0.08 is 2.
static void an_example_by_hand(void **state)
{
    static const double ratios[] = {0.01, 0.04}, weights[] = {2, 1};
    double targets[2];
    (void)state;
    outlier_targets(targets, ratios, weights, 2, 0.5, 0.08);
    assert_true(fabs(targets[0] - 0.54) < rounding);
    assert_true(fabs(targets[1] - 0.42) < rounding);
}

static void layers_that_do_not_differ_are_pruned_alike(void **state)
{
    static const double same[] = {0.1 + 0.2, 0.3, 0.3}, weights[] = {3, 5, 9}, none[] = {0, 0, 0};
    double targets[3];
    (void)state;
    outlier_targets(targets, same, weights, 3, 0.7, 0.08); // 0.1 + 0.2 is not quite 0.3
    for (size_t l = 0; l < 3; l++)
        assert_true(targets[l] == 0.7);
    outlier_targets(targets, same, none, 3, 0.7, 0.08);
    for (size_t l = 0; l < 3; l++)
        assert_true(targets[l] == 0.7);
}

static void a_layer_without_weights_does_not_count(void **state)
{
    static const double ratios[] = {0.01, 0.5, 0.03}, weights[] = {1, 0, 1};
    double targets[3];
    (void)state;
    outlier_targets(targets, ratios, weights, 3, 0.5, 0.1);
    assert_true(fabs(targets[0] - 0.6) < rounding);
    assert_true(targets[1] == 0.5);
    assert_true(fabs(targets[2] - 0.4) < rounding);
}

static void no_range_is_uniform(void **state)
{
    static const double ratios[] = {0.01, 0.5}, weights[] = {1, 2};
    double targets[2];
    (void)state;
    outlier_targets(targets, ratios, weights, 2, 0.5, 0);
    assert_true(targets[0] == 0.5 && targets[1] == 0.5);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_summed_and_counted),
        cmocka_unit_test(a_score_at_the_limit_is_no_outlier),
        cmocka_unit_test(the_weighted_mean_is_the_sparsity_and_none_is_further_than_the_range),
        cmocka_unit_test(an_example_by_hand),
        cmocka_unit_test(layers_that_do_not_differ_are_pruned_alike),
        cmocka_unit_test(a_layer_without_weights_does_not_count),
        cmocka_unit_test(no_range_is_uniform),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
