// The gated delta rule in chunks against its definition, token by token in double.
#include "kernels/forward/delta_rule.h"
#include "tests/support/naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// More than two chunks; rows of the input hold more than the head.
enum { TOKENS = 150, KEY = 5, VALUE = 7, STRIDE = 2 * KEY + VALUE + 3, GATES = 3, OUT_STRIDE = VALUE + 2 };

struct sequence {
    float *rows;  // [TOKENS, STRIDE]: a query, a key, a value
    float *gates; // [TOKENS, GATES]: beta, a log decay
    struct delta_rule rule;
};

static void normalise(float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] / sqrt(sum));
}

#define WEAK 0.05F // remembers more than a chunk

// Log decays are between -2 strength and 0 for every so many-th token, else between -2 WEAK and 0.
static struct sequence random_sequence(float strength, size_t every)
{
    struct sequence s = {uniform_floats(TOKENS * STRIDE, 1.0F, 1), uniform_floats(TOKENS * GATES, 1.0F, 2),
                         .rule = {.key_head_dim = KEY, .value_head_dim = VALUE}};
    for (size_t t = 0; t < TOKENS; t++) {
        normalise(s.rows + t * STRIDE + KEY, KEY);
        s.gates[t * GATES] = 0.5F * (1.0F + s.gates[t * GATES]);
        s.gates[t * GATES + 1] = (t % every == 0 ? strength : WEAK) * (s.gates[t * GATES + 1] - 1.0F);
    }
    s.rule.query = s.rows;
    s.rule.key = s.rows + KEY;
    s.rule.value = s.rows + 2 * KEY;
    s.rule.stride = STRIDE;
    s.rule.beta = s.gates;
    s.rule.log_decay = s.gates + 1;
    s.rule.gate_stride = GATES;
    return s;
}

static void free_sequence(struct sequence *s)
{
    free(s->rows);
    free(s->gates);
}

// out[TOKENS, VALUE]; the state goes from the one before to the one after.
static void naive_rule(float *out, double state[KEY][VALUE], const struct delta_rule *rule)
{
    for (size_t t = 0; t < TOKENS; t++) {
        const float *q = rule->query + t * rule->stride, *k = rule->key + t * rule->stride;
        const float *v = rule->value + t * rule->stride;
        const double beta = (double)rule->beta[t * rule->gate_stride];
        const double decay = exp((double)rule->log_decay[t * rule->gate_stride]);
        for (size_t i = 0; i < KEY; i++)
            for (size_t j = 0; j < VALUE; j++)
                state[i][j] *= decay;
        for (size_t j = 0; j < VALUE; j++) {
            double found = 0, read = 0;
            for (size_t i = 0; i < KEY; i++)
                found += state[i][j] * (double)k[i];
            for (size_t i = 0; i < KEY; i++)
                state[i][j] += (double)k[i] * beta * ((double)v[j] - found);
            for (size_t i = 0; i < KEY; i++)
                read += state[i][j] * (double)q[i];
            out[t * VALUE + j] = (float)read;
        }
    }
}

static void run(float *out, float *state, const struct delta_rule *rule, size_t tokens)
{
    float *workspace = uniform_floats(delta_rule_workspace_size(KEY, VALUE), 1e30F, 3);
    delta_rule_forward(out, OUT_STRIDE, rule, state, tokens, workspace);
    free(workspace);
}

// Sums of 64 values up to a few units: some dozen roundings of 2^-24.
static const double tolerance = 2e-5;

static void check(float strength, size_t every)
{
    struct sequence s = random_sequence(strength, every);
    double expected_state[KEY][VALUE];
    static float expected[TOKENS * VALUE], found[TOKENS * OUT_STRIDE];
    float *state = uniform_floats(KEY * VALUE, 1.0F, 4);

    for (size_t i = 0; i < KEY * VALUE; i++)
        expected_state[i / VALUE][i % VALUE] = (double)state[i];
    naive_rule(expected, expected_state, &s.rule);
    run(found, state, &s.rule, TOKENS);
    for (size_t t = 0; t < TOKENS; t++)
        assert_close(largest_difference(found + t * OUT_STRIDE, expected + t * VALUE, VALUE), 0.0, tolerance);
    for (size_t i = 0; i < KEY * VALUE; i++)
        assert_close((double)state[i], expected_state[i / VALUE][i % VALUE], tolerance);
    free(state);
    free_sequence(&s);
}

static void chunks_are_the_rule_token_by_token(void **state)
{
    (void)state;
    check(WEAK, 1);
    check(1.0F, 1);
}

static void nothing_decays_without_decay(void **state)
{
    (void)state;
    check(0.0F, 1);
}

// Sums of log decays reach -10000 within a chunk, where float32 has steps of 2^-10, and the tokens between
// two that forget everything remember one another.
static void strong_decay_leaves_weak_decay_as_exact(void **state)
{
    (void)state;
    check(2000.0F, 10);
}

static void a_sequence_in_two_parts_is_the_sequence(void **unused)
{
    (void)unused;
    struct sequence s = random_sequence(WEAK, 1);
    static float whole[TOKENS * OUT_STRIDE], parts[TOKENS * OUT_STRIDE];
    float state[KEY * VALUE] = {0}, after_parts[KEY * VALUE] = {0};
    enum { FIRST = 37 };

    run(whole, state, &s.rule, TOKENS);
    run(parts, after_parts, &s.rule, FIRST);
    s.rule.query += FIRST * STRIDE;
    s.rule.key += FIRST * STRIDE;
    s.rule.value += FIRST * STRIDE;
    s.rule.beta += FIRST * GATES;
    s.rule.log_decay += FIRST * GATES;
    run(parts + FIRST * OUT_STRIDE, after_parts, &s.rule, TOKENS - FIRST);
    assert_true(largest_difference(whole, parts, TOKENS * OUT_STRIDE) < tolerance);
    assert_true(largest_difference(state, after_parts, KEY * VALUE) < tolerance);
    free_sequence(&s);
}

static void no_tokens_leave_the_state_alone(void **unused)
{
    (void)unused;
    struct sequence s = random_sequence(1.0F, 1);
    float state[KEY * VALUE], before[KEY * VALUE];

    for (size_t i = 0; i < KEY * VALUE; i++)
        state[i] = before[i] = (float)i;
    run(NULL, state, &s.rule, 0);
    assert_memory_equal(state, before, sizeof state);
    free_sequence(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_the_rule_token_by_token),
        cmocka_unit_test(nothing_decays_without_decay),
        cmocka_unit_test(strong_decay_leaves_weak_decay_as_exact),
        cmocka_unit_test(a_sequence_in_two_parts_is_the_sequence),
        cmocka_unit_test(no_tokens_leave_the_state_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
