// The median against sorting; the layers' target sparsities against their definition and, where they are
// clipped, against a scan over shifts.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/allocation/layer_medians.h"
#include "tests/support/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LAYERS = 7, MOST = 300 };

// Sums of a few terms near 1 in double.
static const double rounding = 1e-14;

static int compare(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

// Scores in two parts, as if two ranks had them.
static float median_of(const float *scores, size_t n)
{
    struct select_search search;
    median_search_begin(&search, n);
    for (int digit = 0; digit < SELECT_DIGITS; digit++) {
        uint64_t histogram[SELECT_BINS] = {0};
        select_search_count(&search, histogram, scores + n / 3, n - n / 3);
        select_search_count(&search, histogram, scores, n / 3);
        select_search_narrow(&search, histogram);
    }
    return median_search_found(&search);
}

static void the_median_is_the_lower_one_in_the_middle(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 8, 299, 300};
    struct random_state random = random_seed(1);
    (void)state;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
        for (int equals = 0; equals < 2; equals++) {
            const size_t n = sizes[k];
            float scores[MOST], sorted[MOST];
            random_fill(&random, scores, n, 1);
            for (size_t i = 0; i < n; i++)
                scores[i] = equals == 1 ? floorf(4 * fabsf(scores[i])) : fabsf(scores[i]);
            memcpy(sorted, scores, n * sizeof *scores);
            qsort(sorted, n, sizeof *sorted, compare);
            assert_true(median_of(scores, n) == sorted[(n - 1) / 2]);
        }
}

// Worked out by hand: d = 2 * 0.1 * (4 - S) / (4 - 1) = 0.2, 0.1333, 0; mean (0.2 + 0.1333 + 0) / 3 = 0.1111.
static void an_example_by_hand(void **state)
{
    static const double medians[] = {1, 2, 4}, weights[] = {5, 5, 5};
    double targets[3];
    (void)state;
    median_targets(targets, medians, weights, 3, 0.5, 0.1);
    assert_true(fabs(targets[0] - (0.5 + 1.0 / 9 - 0.2)) < rounding);
    assert_true(fabs(targets[1] - (0.5 + 1.0 / 9 - 0.4 / 3)) < rounding);
    assert_true(fabs(targets[2] - (0.5 + 1.0 / 9)) < rounding);
}

// The source's formula as it is written, with the sum of the medians and a mean that is weighted.
static void targets_are_those_of_the_formula(void **state)
{
    struct random_state random = random_seed(2);
    (void)state;
    for (int round = 0; round < 100; round++) {
        double medians[LAYERS], weights[LAYERS], targets[LAYERS], d[LAYERS];
        double sum = 0, least = INFINITY, most = -INFINITY, mean = 0, total = 0;
        for (size_t l = 0; l < LAYERS; l++) {
            medians[l] = 0.1 + random_uniform(&random);
            weights[l] = (double)(1 + random_below(&random, 1000));
            sum += medians[l];
        }
        for (size_t l = 0; l < LAYERS; l++) {
            d[l] = 1 - medians[l] / sum;
            least = fmin(least, d[l]);
            most = fmax(most, d[l]);
        }
        for (size_t l = 0; l < LAYERS; l++) {
            d[l] = 2 * 0.15 * (d[l] - least) / (most - least);
            mean += weights[l] * d[l];
            total += weights[l];
        }
        median_targets(targets, medians, weights, LAYERS, 0.6, 0.15);
        for (size_t l = 0; l < LAYERS; l++)
            assert_true(fabs(targets[l] - (0.6 + mean / total - d[l])) < 20 * rounding);
    }
}

static void the_weighted_mean_is_the_sparsity_also_where_targets_are_clipped(void **state)
{
    struct random_state random = random_seed(3);
    int clipped = 0;
    (void)state;
    for (int round = 0; round < 300; round++) {
        double medians[LAYERS], weights[LAYERS], targets[LAYERS], total = 0, mean = 0;
        const double sparsity = random_uniform(&random), alpha = 0.5 * random_uniform(&random);
        for (size_t l = 0; l < LAYERS; l++) {
            medians[l] = random_uniform(&random);
            weights[l] = (double)random_below(&random, 1000);
        }
        weights[0] = 1; // never all of them 0
        weights[1] = 7;
        median_targets(targets, medians, weights, LAYERS, sparsity, alpha);
        for (size_t l = 0; l < LAYERS; l++) {
            total += weights[l];
            mean += weights[l] * targets[l];
            assert_true(targets[l] >= 0 && targets[l] <= 1);
            clipped += weights[l] > 0 && (targets[l] == 0 || targets[l] == 1);
            for (size_t k = 0; k < LAYERS; k++)
                if (weights[k] > 0 && weights[l] > 0 && medians[k] > medians[l])
                    assert_true(targets[k] >= targets[l]);
        }
        assert_true(fabs(mean / total - sparsity) < rounding);
    }
    assert_true(clipped > 50);
}

// 0.9 + c - d with d = 0.6, 0 and equal weights would be 0.9 + 0.3: the second is 1, and the first gives 0.8.
static void what_is_clipped_is_made_up_for_by_the_others(void **state)
{
    static const double medians[] = {1, 2}, weights[] = {3, 3};
    double targets[2];
    (void)state;
    median_targets(targets, medians, weights, 2, 0.9, 0.3);
    assert_true(targets[1] == 1);
    assert_true(fabs(targets[0] - 0.8) < rounding);
}

static void layers_that_do_not_differ_are_pruned_alike(void **state)
{
    static const double same[] = {0.1 + 0.2, 0.3, 0.3}, weights[] = {3, 5, 9}, none[] = {0, 0, 0},
                        different[] = {1, 2, 3};
    double targets[3];
    (void)state;
    median_targets(targets, same, weights, 3, 0.7, 0.15); // 0.1 + 0.2 is not quite 0.3
    for (size_t l = 0; l < 3; l++)
        assert_true(targets[l] == 0.7);
    median_targets(targets, different, none, 3, 0.7, 0.15);
    for (size_t l = 0; l < 3; l++)
        assert_true(targets[l] == 0.7);
    median_targets(targets, different, weights, 3, 0.7, 0);
    for (size_t l = 0; l < 3; l++)
        assert_true(targets[l] == 0.7);
}

static void a_layer_without_weights_does_not_count(void **state)
{
    static const double medians[] = {1, 0, 2}, weights[] = {1, 0, 1};
    double targets[3];
    (void)state;
    median_targets(targets, medians, weights, 3, 0.5, 0.1);
    assert_true(fabs(targets[0] - 0.4) < rounding);
    assert_true(targets[1] == 0.5);
    assert_true(fabs(targets[2] - 0.6) < rounding);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_median_is_the_lower_one_in_the_middle),
        cmocka_unit_test(an_example_by_hand),
        cmocka_unit_test(targets_are_those_of_the_formula),
        cmocka_unit_test(the_weighted_mean_is_the_sparsity_also_where_targets_are_clipped),
        cmocka_unit_test(what_is_clipped_is_made_up_for_by_the_others),
        cmocka_unit_test(layers_that_do_not_differ_are_pruned_alike),
        cmocka_unit_test(a_layer_without_weights_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
