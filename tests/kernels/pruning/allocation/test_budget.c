// The search against functions whose bound is known: the sparsity that it ends with, found by trying all, and
// how many attempts it takes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/allocation/budget.h"
#include "tests/support/random.h"

#include <math.h>

enum { STEPS = 1000 };

// The excess at a sparsity.
typedef double curve(double sparsity, const double *p);

static double power(double s, const double *p)
{
    return p[0] * pow(s, p[1]);
}

static double exponential(double s, const double *p)
{
    return p[0] * expm1(p[1] * s);
}

// What little pruning regularises at first.
static double dips(double s, const double *p)
{
    return p[0] * pow(s, p[1]) - 0.05 * p[0] * s;
}

static double all_or_nothing(double s, const double *p)
{
    return s < p[0] ? 0 : 5;
}

static double too_much(double s, const double *p)
{
    return p[0] + s;
}

static double flat(double s, const double *p)
{
    (void)s;
    return p[0];
}

static double nothing(double s, const double *p)
{
    (void)s, (void)p;
    return -0.01;
}

struct search {
    struct budget_trial trials[BUDGET_ATTEMPTS + 1];
    size_t count;
};

static void run_search(struct search *search, const struct budget_goal *goal, curve *f, const double *p)
{
    search->count = 0;
    for (double next; (next = budget_next(goal, search->trials, search->count)) >= 0;) {
        assert_true(search->count < BUDGET_ATTEMPTS);
        assert_true(next >= BUDGET_LOWEST && next <= goal->highest);
        assert_true(fabs(next * STEPS - round(next * STEPS)) < 1e-9);
        for (size_t i = 0; i < search->count; i++)
            assert_true(search->trials[i].sparsity != next);
        search->trials[search->count++] = (struct budget_trial){next, f(next, p)};
    }
}

// The largest multiple of 0.001 within the bound, by trying all; below 0: none.
static double sparsest(const struct budget_goal *goal, curve *f, const double *p)
{
    double found = -1;
    for (int k = 20; k <= (int)round(goal->highest * STEPS); k++)
        if (f((double)k / STEPS, p) <= goal->bound)
            found = (double)k / STEPS;
    return found;
}

// Within the window, or as near as neighbours on the grid allow.
static void assert_is_found(const struct search *search, const struct budget_goal *goal, curve *f,
                            const double *p)
{
    const size_t best = budget_best(goal, search->trials, search->count);
    assert_true(best < search->count);
    const double at = search->trials[best].sparsity, excess = search->trials[best].excess;
    assert_true(excess <= goal->bound);
    if (excess < goal->bound + log(0.99) && at < sparsest(goal, f, p) - 1e-9)
        fail_msg("%g of bound %g at %g, %g was possible after %zu attempts", excess, goal->bound, at,
                 sparsest(goal, f, p), search->count);
}

static void curves_that_grow_as_losses_do_are_met_within_one_per_cent(void **state)
{
    struct random_state random = random_seed(1);
    size_t attempts = 0, searches = 0;
    (void)state;

    for (int trial = 0; trial < 3000; trial++) {
        static curve *const curves[] = {power, exponential, dips};
        curve *f = curves[trial % 3];
        const struct budget_goal goal = {log(1.02 + 0.5 * random_uniform(&random)), 0.9};
        double p[2] = {0.2 + 8 * random_uniform(&random), 2.5 + 4 * random_uniform(&random)};
        if (f == exponential)
            p[0] *= exp(-p[1]);
        struct search search;
        if (sparsest(&goal, f, p) < 0.05)
            continue;
        run_search(&search, &goal, f, p);
        assert_is_found(&search, &goal, f, p);
        attempts += search.count;
        searches++;
    }
    assert_true(searches > 2000);
    assert_true((double)attempts < 3.8 * (double)searches);
}

static void a_step_is_closed_in_on_from_both_sides(void **state)
{
    (void)state;
    for (int k = 50; k < 900; k += 7) {
        const double p[1] = {(double)k / STEPS};
        const struct budget_goal goal = {log(1.1), 0.9};
        struct search search;
        run_search(&search, &goal, all_or_nothing, p);
        const size_t best = budget_best(&goal, search.trials, search.count);
        // No shape helps here: what is promised is that the bound holds, and half of what was possible.
        assert_true(best < search.count);
        assert_true(search.trials[best].sparsity < p[0] && search.trials[best].sparsity >= p[0] / 2);
    }
}

static void where_nothing_is_within_the_bound_the_lowest_sparsity_is_tried_last(void **state)
{
    const struct budget_goal goal = {log(1.05), 0.9};
    const double p[1] = {0.2};
    struct search search;
    (void)state;

    run_search(&search, &goal, too_much, p);
    assert_int_equal(budget_best(&goal, search.trials, search.count), search.count);
    assert_true(search.trials[search.count - 1].sparsity == BUDGET_LOWEST);

    // Nor where no attempt says that less would be enough.
    const double little_too_much[1] = {0.06};
    run_search(&search, &goal, flat, little_too_much);
    assert_int_equal(search.count, BUDGET_ATTEMPTS);
    assert_true(search.trials[BUDGET_ATTEMPTS - 1].sparsity == BUDGET_LOWEST);
    assert_true(search.trials[BUDGET_ATTEMPTS - 2].sparsity > 2 * BUDGET_LOWEST);
}

static void where_everything_is_within_the_bound_the_search_ends_near_the_highest(void **state)
{
    const struct budget_goal goal = {log(1.05), 0.9};
    struct search search;
    (void)state;

    run_search(&search, &goal, nothing, NULL);
    assert_true(search.trials[budget_best(&goal, search.trials, search.count)].sparsity > 0.88);
}

static void the_best_is_the_sparsest_that_is_within_the_bound(void **state)
{
    const struct budget_goal goal = {0.1, 0.9};
    const struct budget_trial trials[] = {{0.5, 0.3}, {0.3, 0.02}, {0.4, 0.1}, {0.35, 0.05}};
    (void)state;

    assert_int_equal(budget_best(&goal, trials, 4), 2); // on the bound is within it
    assert_int_equal(budget_best(&goal, trials, 1), 1);
    assert_int_equal(budget_best(&goal, trials, 0), 0);
}

static void a_search_ends_in_the_window_below_the_bound(void **state)
{
    const double bound = log(1.25), low = budget_enough(bound);
    const struct budget_goal goal = {bound, 0.9};
    (void)state;

    assert_true(exp(low) > 1.25 * 0.99 && low < bound);
    assert_true(budget_enough(log(1.01)) > 0); // a small bound is not met by the dense model
    assert_true(budget_next(&goal, &(struct budget_trial){0.5, low + 1e-9}, 1) < 0);
    assert_true(budget_next(&goal, &(struct budget_trial){0.5, low - 1e-9}, 1) > 0.5);
    assert_true(budget_next(&goal, &(struct budget_trial){0.5, bound + 1e-9}, 1) < 0.5);
    const struct budget_trial neighbours[] = {{0.5, 0.1}, {0.501, 0.4}};
    assert_true(budget_next(&goal, neighbours, 2) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curves_that_grow_as_losses_do_are_met_within_one_per_cent),
        cmocka_unit_test(a_step_is_closed_in_on_from_both_sides),
        cmocka_unit_test(where_nothing_is_within_the_bound_the_lowest_sparsity_is_tried_last),
        cmocka_unit_test(where_everything_is_within_the_bound_the_search_ends_near_the_highest),
        cmocka_unit_test(the_best_is_the_sparsest_that_is_within_the_bound),
        cmocka_unit_test(a_search_ends_in_the_window_below_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
