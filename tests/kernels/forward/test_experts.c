// A mixture of experts against a plain loop over tokens, and what the observer sees of each expert.
#include "kernels/forward/experts.h"
#include "tests/support/naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TOKENS = 40, HIDDEN = 12, INNER = 20, EXPERTS = 5, PER_TOKEN = 2, GAP = 64 };
enum { GATE = 0, UP = INNER * HIDDEN, DOWN = 2 * INNER * HIDDEN, STRIDE = 3 * INNER * HIDDEN + GAP };
// In the gap, where a test asks for them.
enum { GATE_BIAS = 3 * INNER * HIDDEN, UP_BIAS = GATE_BIAS + INNER, DOWN_BIAS = UP_BIAS + INNER };

struct fixture {
    struct experts experts;
    float *weights, *router, *x, *workspace;
};

static void create(struct fixture *f, bool norm_topk_prob)
{
    f->weights = uniform_floats((size_t)EXPERTS * STRIDE, 0.5F, 1);
    f->router = uniform_floats((size_t)EXPERTS * HIDDEN, 1.0F, 2);
    f->x = uniform_floats((size_t)TOKENS * HIDDEN, 1.0F, 3);
    f->experts = (struct experts){
        .router = {.linear = {.out = EXPERTS, .in = HIDDEN, .weight = f->router},
                   .num_experts = EXPERTS,
                   .num_experts_per_tok = PER_TOKEN,
                   .routing = {.normalise = norm_topk_prob}},
        .first = {.gate = {.out = INNER, .in = HIDDEN, .weight = f->weights + GATE},
                  .up = {.out = INNER, .in = HIDDEN, .weight = f->weights + UP},
                  .down = {.out = HIDDEN, .in = INNER, .weight = f->weights + DOWN},
                  .activation = ACTIVATION_SILU},
        .stride = STRIDE,
    };
    f->workspace =
        uniform_floats(experts_workspace_size(EXPERTS, PER_TOKEN, HIDDEN, INNER, TOKENS), 1e30F, 4);
}

static void destroy(struct fixture *f)
{
    free(f->weights);
    free(f->router);
    free(f->x);
    free(f->workspace);
}

// probability[EXPERTS] of one token: softmax of its router logits; all but the PER_TOKEN largest then 0.
static void naive_route(double *probability, const struct fixture *f, const float *x, bool norm_topk_prob)
{
    double sum = 0.0, kept = 0.0;
    for (size_t e = 0; e < EXPERTS; e++) {
        double logit = 0.0;
        for (size_t i = 0; i < HIDDEN; i++)
            logit += (double)f->router[e * HIDDEN + i] * (double)x[i];
        probability[e] = exp(logit);
        sum += probability[e];
    }
    double result[EXPERTS];
    for (size_t e = 0; e < EXPERTS; e++) {
        size_t better = 0;
        for (size_t other = 0; other < EXPERTS; other++)
            better +=
                probability[other] > probability[e] || (probability[other] == probability[e] && other < e);
        result[e] = better < PER_TOKEN ? probability[e] / sum : 0.0;
        kept += result[e];
    }
    for (size_t e = 0; e < EXPERTS; e++)
        probability[e] = norm_topk_prob ? result[e] / kept : result[e];
}

static void naive_expert(float *out, const struct fixture *f, size_t expert, const float *x)
{
    const float *weights = f->weights + expert * STRIDE;
    float gate[INNER], up[INNER];
    const bool biased = f->experts.first.up.bias != NULL;
    naive_linear(gate, x, weights + GATE, biased ? weights + GATE_BIAS : NULL, 1, INNER, HIDDEN);
    naive_linear(up, x, weights + UP, biased ? weights + UP_BIAS : NULL, 1, INNER, HIDDEN);
    for (size_t i = 0; i < INNER; i++)
        gate[i] = (float)(naive_activation((double)gate[i], ACTIVATION_SILU) * (double)up[i]);
    naive_linear(out, gate, weights + DOWN, biased ? weights + DOWN_BIAS : NULL, 1, HIDDEN, INNER);
}

static void check(bool norm_topk_prob, bool biased)
{
    struct fixture f;
    create(&f, norm_topk_prob);
    if (biased) {
        f.experts.first.gate.bias = f.weights + GATE_BIAS;
        f.experts.first.up.bias = f.weights + UP_BIAS;
        f.experts.first.down.bias = f.weights + DOWN_BIAS;
    }
    float *out = uniform_floats((size_t)TOKENS * HIDDEN, 1.0F, 9);
    float *before = uniform_floats((size_t)TOKENS * HIDDEN, 1.0F, 9);
    experts_forward(out, &f.experts, f.x, TOKENS, f.workspace, NULL, 0);
    for (size_t t = 0; t < TOKENS; t++) {
        double probability[EXPERTS], expected[HIDDEN];
        naive_route(probability, &f, f.x + t * HIDDEN, norm_topk_prob);
        for (size_t i = 0; i < HIDDEN; i++)
            expected[i] = (double)before[t * HIDDEN + i]; // it is added to
        for (size_t e = 0; e < EXPERTS; e++) {
            float result[HIDDEN];
            naive_expert(result, &f, e, f.x + t * HIDDEN);
            for (size_t i = 0; i < HIDDEN; i++)
                expected[i] += probability[e] * (double)result[i];
        }
        for (size_t i = 0; i < HIDDEN; i++) // sums of 20 products below 10
            assert_close((double)out[t * HIDDEN + i], expected[i], 1e-5);
    }
    free(out);
    free(before);
    destroy(&f);
}

static void tokens_go_to_their_best_experts(void **state)
{
    (void)state;
    check(false, false);
}

static void shares_can_be_scaled_to_one(void **state)
{
    (void)state;
    check(true, false);
}

static void every_expert_has_biases_of_its_own(void **state)
{
    (void)state;
    check(false, true);
}

// Shares that multiply what experts read, from another input of the router.
static void shares_may_be_on_the_input(void **state)
{
    struct fixture f;
    (void)state;

    create(&f, false);
    float *routed = uniform_floats((size_t)TOKENS * HIDDEN, 1.0F, 17),
          *out = calloc(TOKENS * HIDDEN, sizeof *out);
    f.experts.router.routing.on_input = true;
    f.experts.router_input = routed;
    experts_forward(out, &f.experts, f.x, TOKENS, f.workspace, NULL, 0);
    for (size_t t = 0; t < TOKENS; t++) {
        double probability[EXPERTS], expected[HIDDEN] = {0};
        naive_route(probability, &f, routed + t * HIDDEN, false);
        for (size_t e = 0; e < EXPERTS; e++) {
            float result[HIDDEN], input[HIDDEN];
            for (size_t i = 0; i < HIDDEN; i++)
                input[i] = (float)(probability[e] * (double)f.x[t * HIDDEN + i]);
            naive_expert(result, &f, e, input); // nothing of nothing
            for (size_t i = 0; i < HIDDEN; i++)
                expected[i] += (double)result[i];
        }
        for (size_t i = 0; i < HIDDEN; i++)
            assert_close((double)out[t * HIDDEN + i], expected[i], 1e-5);
    }
    free(routed);
    free(out);
    destroy(&f);
}

struct seen {
    const struct fixture *fixture;
    size_t tokens[EXPERTS], down_tokens[EXPERTS];
};

static void look(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    struct seen *seen = context;
    const size_t expert = (source - 7) / 2;
    assert_true(source >= 7 && expert < EXPERTS);
    if ((source - 7) % 2 != 0) {
        assert_int_equal(channels, INNER);
        assert_int_equal(seen->down_tokens[expert], 0);
        seen->down_tokens[expert] = tokens;
        return;
    }
    assert_int_equal(channels, HIDDEN);
    assert_int_equal(seen->tokens[expert], 0);
    seen->tokens[expert] = tokens;
    // Exactly the tokens that chose this expert, in their order.
    size_t row = 0;
    for (size_t t = 0; t < TOKENS; t++) {
        double probability[EXPERTS];
        const float *token = seen->fixture->x + t * HIDDEN;
        naive_route(probability, seen->fixture, token, false);
        if (probability[expert] == 0.0)
            continue;
        assert_true(row < tokens);
        assert_memory_equal(x + row * HIDDEN, token, HIDDEN * sizeof *x);
        row++;
    }
    assert_int_equal(row, tokens);
}

static void the_observer_sees_each_expert_with_its_own_tokens(void **state)
{
    (void)state;
    struct fixture f;
    create(&f, false);
    struct seen seen = {.fixture = &f};
    float *out = uniform_floats((size_t)TOKENS * HIDDEN, 1.0F, 9);
    size_t all = 0;
    experts_forward(out, &f.experts, f.x, TOKENS, f.workspace,
                    &(struct decoder_observer){.context = &seen, .input = look}, 7);
    for (size_t e = 0; e < EXPERTS; e++) {
        all += seen.tokens[e];
        assert_int_equal(seen.tokens[e], seen.down_tokens[e]);
    }
    assert_int_equal(all, TOKENS * PER_TOKEN);
    free(out);
    destroy(&f);
}

static void an_expert_without_tokens_is_not_called(void **state)
{
    (void)state;
    struct fixture f;
    create(&f, false);
    for (size_t t = 0; t < TOKENS; t++)
        f.x[t * HIDDEN] = 1.0F;
    for (size_t e = 0; e < EXPERTS; e++) {
        memset(f.router + e * HIDDEN, 0, HIDDEN * sizeof *f.router);
        f.router[e * HIDDEN] =
            e == 3 ? 5.0F : 1.0F; // expert 3 is best; the others are equal: the lowest is taken
    }
    struct seen seen = {.fixture = &f};
    float *out = uniform_floats((size_t)TOKENS * HIDDEN, 1.0F, 9);
    experts_forward(out, &f.experts, f.x, TOKENS, f.workspace,
                    &(struct decoder_observer){.context = &seen, .input = look}, 7);
    const size_t expected[EXPERTS] = {TOKENS, 0, 0, TOKENS, 0};
    assert_memory_equal(seen.tokens, expected, sizeof expected);
    free(out);
    destroy(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_go_to_their_best_experts),
        cmocka_unit_test(shares_can_be_scaled_to_one),
        cmocka_unit_test(every_expert_has_biases_of_its_own),
        cmocka_unit_test(shares_may_be_on_the_input),
        cmocka_unit_test(the_observer_sees_each_expert_with_its_own_tokens),
        cmocka_unit_test(an_expert_without_tokens_is_not_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
