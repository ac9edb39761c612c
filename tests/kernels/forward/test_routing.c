// A token's experts and shares, against formulas in double and experts that are ranked one by one.
#include "kernels/forward/routing.h"
#include "tests/support/naive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { EXPERTS = 24, PER_TOKEN = 5, DRAWS = 50 };

static float correction[EXPERTS];

// How many of x[n] come before x[i]: larger ones, and equal ones with a lower index.
static size_t rank_of(const double *x, size_t n, size_t i)
{
    size_t rank = 0;
    for (size_t j = 0; j < n; j++)
        rank += x[j] > x[i] || (x[j] == x[i] && j < i);
    return rank;
}

static double naive_worth(const double *x, size_t size, enum group_worth worth)
{
    double sum = 0;
    for (size_t i = 0; i < size; i++)
        sum += rank_of(x, size, i) < (worth == GROUP_LARGEST ? 1 : 2) ? x[i] : 0;
    return sum;
}

// share[EXPERTS]: 0 for those that are not chosen. rank[EXPERTS]: of the choice.
static void naive_shares(double *share, size_t *rank, const float *logits, const struct router *router)
{
    const struct routing *routing = &router->routing;
    const size_t groups = routing->groups != 0 ? routing->groups : 1, size = EXPERTS / groups;
    double score[EXPERTS], preference[EXPERTS], worth[EXPERTS], all = 0, chosen = 0;

    for (size_t e = 0; e < EXPERTS; e++)
        all += exp((double)logits[e]);
    for (size_t e = 0; e < EXPERTS; e++) {
        score[e] = routing->scores == ROUTING_SIGMOID   ? 1 / (1 + exp(-(double)logits[e]))
                   : routing->scores == ROUTING_SOFTMAX ? exp((double)logits[e]) / all
                                                        : exp((double)logits[e]);
        preference[e] = score[e] + (router->correction != NULL ? (double)router->correction[e] : 0);
    }
    for (size_t g = 0; g < groups; g++)
        worth[g] = naive_worth(preference + g * size, size, routing->worth);
    for (size_t g = 0; g < groups && routing->groups != 0; g++)
        for (size_t e = 0; e < size && rank_of(worth, groups, g) >= routing->kept_groups; e++)
            preference[g * size + e] = -1e9;
    for (size_t e = 0; e < EXPERTS; e++) {
        rank[e] = rank_of(preference, EXPERTS, e);
        share[e] = rank[e] < PER_TOKEN ? score[e] : 0;
        chosen += share[e];
    }
    for (size_t e = 0; e < EXPERTS; e++) {
        if (routing->scores == ROUTING_SOFTMAX_OF_CHOSEN || routing->normalise)
            share[e] /= fmax(chosen + (double)routing->sum_added, (double)routing->sum_least);
        share[e] *= routing->scale != 0 ? (double)routing->scale : 1;
    }
}

static void check(const struct router *router, uint64_t seed)
{
    float *logits = uniform_floats(EXPERTS, 2.0F, seed), scratch[2 * EXPERTS], shares[PER_TOKEN];
    uint32_t chosen[PER_TOKEN];
    double expected[EXPERTS];
    size_t rank[EXPERTS];

    naive_shares(expected, rank, logits, router);
    route_token(chosen, shares, logits, router, scratch);
    for (size_t i = 0; i < PER_TOKEN; i++) {
        assert_true(chosen[i] < EXPERTS);
        assert_int_equal(rank[chosen[i]], i);
        assert_close((double)shares[i], expected[chosen[i]], 1e-6 * fmax(1, expected[chosen[i]]));
    }
    free(logits);
}

static struct router router_with(struct routing routing, bool corrected)
{
    for (size_t e = 0; e < EXPERTS; e++)
        correction[e] = 0.4F * sinf((float)(7 * e)); // about as large as the scores
    return (struct router){.correction = corrected ? correction : NULL,
                           .num_experts = EXPERTS,
                           .num_experts_per_tok = PER_TOKEN,
                           .routing = routing};
}

static void check_all(struct routing routing)
{
    for (int corrected = 0; corrected < 2; corrected++) {
        const struct router router = router_with(routing, corrected != 0);
        for (uint64_t seed = 1; seed <= DRAWS; seed++)
            check(&router, seed);
    }
}

static void the_best_experts_are_taken(void **state)
{
    (void)state;
    check_all((struct routing){.scores = ROUTING_SOFTMAX});
    check_all((struct routing){.scores = ROUTING_SOFTMAX, .normalise = true});
    check_all((struct routing){.scores = ROUTING_SIGMOID, .scale = 2.5F});
    check_all((struct routing){.scores = ROUTING_SIGMOID, .normalise = true, .scale = 2.5F});
}

static void a_softmax_may_be_of_the_chosen_alone(void **state)
{
    (void)state;
    const struct router router = router_with((struct routing){.scores = ROUTING_SOFTMAX_OF_CHOSEN}, false);
    for (uint64_t seed = 1; seed <= DRAWS; seed++)
        check(&router, seed);
}

static void groups_that_are_worth_less_give_no_expert(void **state)
{
    (void)state;
    check_all((struct routing){.groups = 6, .kept_groups = 2, .worth = GROUP_LARGEST, .scale = 3.0F});
    check_all((struct routing){.scores = ROUTING_SIGMOID,
                               .groups = 8,
                               .kept_groups = 3,
                               .worth = GROUP_TWO_LARGEST,
                               .normalise = true,
                               .scale = 1.5F});
    check_all((struct routing){
        .scores = ROUTING_SIGMOID, .groups = 4, .kept_groups = 4, .worth = GROUP_TWO_LARGEST});
}

static void sums_have_something_added_or_a_least_value(void **state)
{
    (void)state;
    check_all((struct routing){.normalise = true, .sum_added = 0.25F});
    check_all((struct routing){.normalise = true, .sum_least = 0.75F});
}

static void among_equals_the_first_is_taken(void **state)
{
    (void)state;
    const struct router router =
        router_with((struct routing){.groups = 4, .kept_groups = 2, .worth = GROUP_TWO_LARGEST}, false);
    float logits[EXPERTS] = {0}, scratch[2 * EXPERTS], shares[PER_TOKEN];
    uint32_t chosen[PER_TOKEN];
    route_token(chosen, shares, logits, &router, scratch);
    for (size_t i = 0; i < PER_TOKEN; i++)
        assert_int_equal(chosen[i], i);
}

// By logits that a sigmoid rounds to 1; the shares have factors of the experts at last.
static void a_sigmoid_may_be_of_the_chosen_alone(void **state)
{
    const float scale[4] = {2.0F, 0.5F, 3.0F, -1.0F};
    const struct router router = {.num_experts = 4,
                                  .num_experts_per_tok = 3,
                                  .expert_scale = scale,
                                  .routing = {.scores = ROUTING_SIGMOID_OF_CHOSEN}};
    float logits[4] = {30.0F, -5.0F, 40.0F, 0.5F}, scratch[8], shares[3];
    uint32_t chosen[3];
    (void)state;

    route_token(chosen, shares, logits, &router, scratch);
    assert_int_equal(chosen[0], 2);
    assert_int_equal(chosen[1], 0);
    assert_int_equal(chosen[2], 3);
    assert_close((double)shares[0], 3.0, 1e-6);
    assert_close((double)shares[1], 2.0, 1e-6);
    assert_close((double)shares[2], -1.0 / (1.0 + exp(-0.5)), 1e-6);
}

// SparseMixer by its definition: two experts, each with a softmax over those that are near it.
static void a_sparse_mixer_looks_at_near_experts_alone(void **state)
{
    enum { N = 6 };
    const double jitter = 0.2;
    (void)state;
    for (uint64_t seed = 1; seed <= DRAWS; seed++) {
        const struct router router = {.num_experts = N,
                                      .num_experts_per_tok = 2,
                                      .routing = {.scores = ROUTING_SPARSE_MIXER, .jitter = (float)jitter}};
        float *logits = uniform_floats(N, 2.0F, seed), scratch[2 * N], shares[2];
        double value[N];
        uint32_t chosen[2];
        for (size_t e = 0; e < N; e++)
            value[e] = (double)logits[e];
        route_token(chosen, shares, logits, &router, scratch);
        for (size_t i = 0; i < 2; i++) {
            double sum = 0;
            const double top = value[chosen[i]];
            assert_int_equal(rank_of(value, N, chosen[i]), i);
            for (size_t e = 0; e < N; e++) {
                const bool taken = i == 1 && e == chosen[0];
                if (!taken && (top - value[e]) / fmax(fabs(value[e]), top) <= 2 * jitter)
                    sum += exp(value[e] - top);
            }
            assert_close((double)shares[i], 1 / sum, 1e-6);
        }
        free(logits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_experts_are_taken),
        cmocka_unit_test(a_softmax_may_be_of_the_chosen_alone),
        cmocka_unit_test(a_sigmoid_may_be_of_the_chosen_alone),
        cmocka_unit_test(groups_that_are_worth_less_give_no_expert),
        cmocka_unit_test(sums_have_something_added_or_a_least_value),
        cmocka_unit_test(among_equals_the_first_is_taken),
        cmocka_unit_test(a_sparse_mixer_looks_at_near_experts_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
