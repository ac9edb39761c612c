// The choice by prices against trying out all choices: of the best sparsities at a given mean at most one
// lies between two corners, so that it is found among those where all but one unit are at a level.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/allocation/curves.h"
#include "tests/support/random.h"

#include <math.h>

enum { UNITS = 3, LEVELS = 5, MOST = UNITS * LEVELS };

static const double levels[LEVELS] = {0, 0.3, 0.5, 0.6, 0.9};
static const double rounding = 1e-13;

struct example {
    double costs[MOST], weights[UNITS];
    struct curve_table table;
};

static void make_example(struct example *e, struct random_state *random)
{
    for (size_t i = 0; i < UNITS; i++) {
        double cost = 0;
        e->weights[i] = (double)(1 + random_below(random, 50));
        for (size_t k = 0; k < LEVELS; k++) {
            e->costs[i * LEVELS + k] = cost;
            cost += random_below(random, 4) == 0 ? 0 : random_uniform(random); // often not convex
        }
    }
    e->table = (struct curve_table){UNITS, LEVELS, levels, e->costs, e->weights};
}

// The lower convex hull at s: the lowest line between two levels around it.
static double hull(const double *costs, double s)
{
    double least = INFINITY;
    for (size_t a = 0; a < LEVELS; a++)
        for (size_t b = a; b < LEVELS; b++) {
            if (levels[a] > s || levels[b] < s)
                continue;
            const double part = a == b ? 0 : (s - levels[a]) / (levels[b] - levels[a]);
            least = fmin(least, costs[a] + part * (costs[b] - costs[a]));
        }
    return least;
}

// The least cost of all choices in which only the unit `free` is not at a level.
static double try_levels(const struct example *e, double sparsity, size_t free)
{
    double least = INFINITY;
    for (size_t choice = 0; choice < LEVELS * LEVELS; choice++) {
        const size_t chosen[2] = {choice / LEVELS, choice % LEVELS};
        double left = 0, cost = 0;
        size_t k = 0;
        for (size_t i = 0; i < UNITS; i++)
            left += sparsity * e->weights[i];
        for (size_t i = 0; i < UNITS; i++)
            if (i != free) {
                cost += hull(e->costs + i * LEVELS, levels[chosen[k]]);
                left -= e->weights[i] * levels[chosen[k++]];
            }
        const double s = left / e->weights[free];
        if (s > -rounding && s < levels[LEVELS - 1] + rounding)
            least = fmin(least, cost + hull(e->costs + free * LEVELS, fmin(fmax(s, 0), levels[LEVELS - 1])));
    }
    return least;
}

static void no_other_choice_costs_less(void **state)
{
    struct random_state random = random_seed(1);
    (void)state;
    for (int round = 0; round < 500; round++) {
        struct example e;
        struct curve_segment segments[MOST];
        double targets[UNITS], total = 0, pruned = 0, cost = 0, best = INFINITY, price;
        const double sparsity = 0.9 * random_uniform(&random);
        make_example(&e, &random);
        const double found = curve_targets(targets, &e.table, sparsity, segments, &price);
        for (size_t i = 0; i < UNITS; i++) {
            assert_true(targets[i] >= 0 && targets[i] <= 0.9);
            total += e.weights[i];
            pruned += e.weights[i] * targets[i];
            cost += hull(e.costs + i * LEVELS, targets[i]);
            best = fmin(best, try_levels(&e, sparsity, i));
        }
        assert_true(fabs(pruned / total - sparsity) < rounding);
        assert_true(fabs(found - cost) < rounding);
        assert_true(fabs(found - best) < 10 * rounding);
        assert_true(price >= 0);
    }
}

// By hand: the first unit's hull is 0, 0 at 0.3 and then 1 up to 0.9, the second's a line to 0.9. Prices for
// a weight: 0, 1 / 0.6 / 2 = 0.8333, 0.6 / 0.9 / 1 = 0.6667. At 0.5 the sum is 1.5: 0.6 for nothing, 0.9 from
// the second.
static void an_example_by_hand(void **state)
{
    static const double costs[] = {0, 0, 0.5, 0.75, 1, 0, 0.3, 0.5, 0.5, 0.6}, weights[] = {2, 1};
    const struct curve_table table = {2, LEVELS, levels, costs, weights};
    struct curve_segment segments[MOST];
    double targets[2], price;
    (void)state;
    assert_true(fabs(curve_targets(targets, &table, 0.5, segments, &price) - 0.6) < rounding);
    assert_true(fabs(targets[0] - 0.3) < rounding && fabs(targets[1] - 0.9) < rounding);
    assert_true(fabs(curve_targets(targets, &table, 0.6, segments, &price) - (0.6 + 0.3 / 1.2)) < rounding);
    assert_true(fabs(targets[0] - 0.45) < rounding && fabs(targets[1] - 0.9) < rounding);
    assert_true(fabs(price - 1 / 1.2) < rounding);
}

static void the_ends_of_the_ladder_are_reached(void **state)
{
    struct random_state random = random_seed(2);
    struct example e;
    struct curve_segment segments[MOST];
    double targets[UNITS];
    (void)state;
    make_example(&e, &random);
    curve_targets(targets, &e.table, 0, segments, NULL);
    for (size_t i = 0; i < UNITS; i++)
        assert_true(targets[i] == 0);
    curve_targets(targets, &e.table, 0.9, segments, NULL);
    for (size_t i = 0; i < UNITS; i++)
        assert_true(fabs(targets[i] - 0.9) < rounding);
}

static void units_of_one_price_are_taken_in_their_order(void **state)
{
    static const double quarters[] = {0, 0.25, 0.5, 0.75, 1};
    static const double costs[] = {0, 1, 2, 3, 4, 0, 2, 4, 6, 8, 0, 1, 2, 3, 4}, weights[] = {1, 2, 1};
    const struct curve_table table = {3, LEVELS, quarters, costs, weights};
    struct curve_segment segments[MOST];
    double targets[3];
    (void)state;
    curve_targets(targets, &table, 0.5, segments, NULL);
    assert_true(targets[0] == 1 && targets[1] == 0.5 && targets[2] == 0);
}

static void what_a_group_costs_more_together_is_charged_to_its_units(void **state)
{
    // Together 6 of 1 + 2, then less than 1 + 3, then with a cost that noise made negative, then nothing at
    // all.
    double costs[] = {1, 1, -0.1, 0, 2, 3, 0.5, 0};
    static const double together[] = {6, 2, 1, 0}, expected[] = {2, 1, 0, 0, 4, 3, 1, 0};
    (void)state;
    curves_charge_together(costs, together, 2, 4);
    for (size_t i = 0; i < 8; i++)
        assert_true(fabs(costs[i] - expected[i]) < rounding);
}

// Between levels the logarithm is a line; below the second one the logarithm over that of the sparsity.
static void between_levels_costs_grow_by_a_factor(void **state)
{
    static const double costs[LEVELS] = {0, 0.01, 0.02, 0.02, 0.32},
                        flat[LEVELS] = {0, 0.01, 0.01, 0.02, 0.04}, nothing[LEVELS] = {0, 0, 0, 0.3, 0.6},
                        lifted[LEVELS] = {0.5, 1, 1, 1, 1};
    (void)state;
    for (size_t k = 0; k < LEVELS; k++)
        assert_true(curve_at(levels[k], levels, costs, LEVELS) == costs[k]);
    assert_true(fabs(curve_at(0.75, levels, costs, LEVELS) - 0.08) < rounding);
    assert_true(fabs(curve_at(0.35, levels, costs, LEVELS) - exp(0.75 * log(0.01) + 0.25 * log(0.02))) <
                rounding);
    assert_true(fabs(curve_at(0.55, levels, costs, LEVELS) - 0.02) < rounding);
    const double exponent = log(2) / log(0.5 / 0.3);
    assert_true(fabs(curve_at(0.1, levels, costs, LEVELS) - 0.01 * exp(exponent * log(1.0 / 3))) < rounding);
    // A curve that does not rise at first is a line, as is one from or to nothing, and one not from nothing
    // grows.
    assert_true(fabs(curve_at(0.1, levels, flat, LEVELS) - 0.01 / 3) < rounding);
    assert_true(curve_at(0.2, levels, nothing, LEVELS) == 0);
    assert_true(fabs(curve_at(0.55, levels, nothing, LEVELS) - 0.15) < rounding);
    assert_true(fabs(curve_at(0.15, levels, lifted, LEVELS) - sqrt(0.5)) < rounding);
}

static void costs_that_fall_are_lifted(void **state)
{
    double costs[] = {0, 0.2, 0.1, 0.1, 0.3, 0.25};
    static const double expected[] = {0, 0.2, 0.2, 0.2, 0.3, 0.3};
    (void)state;
    curve_make_monotone(costs, 6);
    for (size_t k = 0; k < 6; k++)
        assert_true(costs[k] == expected[k]);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_other_choice_costs_less),
        cmocka_unit_test(an_example_by_hand),
        cmocka_unit_test(the_ends_of_the_ladder_are_reached),
        cmocka_unit_test(units_of_one_price_are_taken_in_their_order),
        cmocka_unit_test(what_a_group_costs_more_together_is_charged_to_its_units),
        cmocka_unit_test(between_levels_costs_grow_by_a_factor),
        cmocka_unit_test(costs_that_fall_are_lifted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
