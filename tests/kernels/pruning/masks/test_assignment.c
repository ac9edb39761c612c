// Assignments, against all permutations of small cases, and against the dual bound of larger ones.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/pruning/masks/assignment.h"
#include "tests/support/random.h"
#include "tests/support/temporary_folder.h" // assert_ok

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static double sum_of(const float *gains, const uint32_t *places, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)gains[i * n + places[i]];
    return sum;
}

// The largest sum of rows [row, n) over the places that are not taken.
static double best_of_all(const float *gains, size_t n, size_t row, unsigned taken)
{
    double best = -INFINITY;
    if (row == n)
        return 0;
    for (size_t j = 0; j < n; j++)
        if (!(taken >> j & 1)) {
            const double sum = (double)gains[row * n + j] + best_of_all(gains, n, row + 1, taken | 1U << j);
            best = sum > best ? sum : best;
        }
    return best;
}

static void assert_permutation(const uint32_t *places, size_t n)
{
    bool *taken = calloc(n + 1, 1);
    assert_non_null(taken);
    for (size_t i = 0; i < n; i++) {
        assert_true(places[i] < n);
        assert_false(taken[places[i]]);
        taken[places[i]] = true;
    }
    free(taken);
}

static void small_cases_have_the_sum_of_the_best_permutation(void **state)
{
    struct random_state random = random_seed(1);
    struct error err = {0};
    float gains[7 * 7];
    uint32_t places[7];
    (void)state;

    for (size_t round = 0; round < 3000; round++) {
        const size_t n = 1 + round % 7;
        for (size_t k = 0; k < n * n; k++) // small integers have many ties
            gains[k] = round % 3 == 0 ? (float)random_below(&random, 4) : (float)random_normal(&random);
        assert_ok(assignment_solve(places, gains, n, &err), err);
        assert_permutation(places, n);
        assert_true(fabs(sum_of(gains, places, n) - best_of_all(gains, n, 0, 0)) < 1e-12);
    }
}

// Gains u_i + v_p(i) where thing i shall be, and less elsewhere: only p has the largest sum.
static void a_hidden_assignment_of_many_is_found(void **state)
{
    enum { N = 301 };
    static float gains[N * N];
    static uint32_t wanted[N], places[N];
    struct random_state random = random_seed(2);
    struct error err = {0};
    float u[N], v[N];
    (void)state;

    random_fill(&random, u, N, 1);
    random_fill(&random, v, N, 1);
    for (size_t i = 0; i < N; i++) {
        const size_t j = random_below(&random, i + 1);
        wanted[i] = wanted[j];
        wanted[j] = (uint32_t)i;
    }
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            gains[i * N + j] =
                u[i] + v[j] - (j == wanted[i] ? 0 : 0.001F + 0.01F * (float)random_uniform(&random));
    assert_ok(assignment_solve(places, gains, N, &err), err);
    assert_memory_equal(places, wanted, sizeof wanted);
}

// Gains i j, and their opposites: the auction raises prices by little, so that most is left to paths (Machol
// and Wien's cases). Larger things belong to larger places; of the opposites, to smaller ones.
static void products_are_assigned_in_order(void **state)
{
    enum { N = 90 };
    static float gains[N * N];
    uint32_t places[N];
    struct error err = {0};
    (void)state;

    for (int sign = -1; sign <= 1; sign += 2) {
        for (size_t k = 0; k < N * N; k++)
            gains[k] = (float)sign * (float)((1 + k / N) * (1 + k % N));
        assert_ok(assignment_solve(places, gains, N, &err), err);
        for (size_t i = 0; i < N; i++)
            assert_int_equal(places[i], sign > 0 ? i : N - 1 - i);
    }
}

// The largest sum over sets of places, thing after thing: best[set] with as many things as the set has
// places.
static double best_of_sets(const float *gains, size_t n)
{
    double *best = malloc(sizeof *best << n);
    assert_non_null(best);
    best[0] = 0;
    for (unsigned set = 1; set < 1U << n; set++) {
        const size_t thing = (size_t)__builtin_popcount(set) - 1;
        best[set] = -INFINITY;
        for (size_t j = 0; j < n; j++)
            if (set >> j & 1)
                best[set] = fmax(best[set], best[set & ~(1U << j)] + (double)gains[thing * n + j]);
    }
    const double sum = best[(1U << n) - 1];
    free(best);
    return sum;
}

static void many_ties_leave_paths_that_cross(void **state)
{
    enum { N = 13 };
    struct random_state random = random_seed(4);
    struct error err = {0};
    float gains[N * N];
    uint32_t places[N];
    (void)state;

    for (size_t round = 0; round < 60; round++) {
        for (size_t k = 0; k < N * N; k++)
            gains[k] = (float)random_below(&random, 2 + round % 9);
        assert_ok(assignment_solve(places, gains, N, &err), err);
        assert_permutation(places, N);
        assert_true(sum_of(gains, places, N) == best_of_sets(gains, N));
    }
}

static void equal_gains_end_in_some_assignment(void **state)
{
    enum { N = 130 };
    static float gains[N * N];
    uint32_t places[N];
    struct error err = {0};
    (void)state;

    assert_ok(assignment_solve(places, gains, N, &err), err); // all 0
    assert_permutation(places, N);
    for (size_t k = 0; k < N * N; k++)
        gains[k] = k / N % 3 == 0 ? 1e30F : 0;
    assert_ok(assignment_solve(places, gains, N, &err), err);
    assert_permutation(places, N);
    assert_ok(assignment_solve(places, gains, 0, &err), err); // nothing to do
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_cases_have_the_sum_of_the_best_permutation),
        cmocka_unit_test(a_hidden_assignment_of_many_is_found),
        cmocka_unit_test(products_are_assigned_in_order),
        cmocka_unit_test(many_ties_leave_paths_that_cross),
        cmocka_unit_test(equal_gains_end_in_some_assignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
