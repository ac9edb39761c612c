// The head against plain loops in double, over more vocabulary and positions than one chunk holds.
#include "kernels/forward/logits.h"
#include "tests/support/naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HIDDEN = 12 };

struct fixture {
    size_t vocabulary, tokens;
    struct lm_head head;
    float *table, *norm, *hidden, *workspace;
    double *logits; // [tokens, vocabulary]
};

static void create(struct fixture *f, size_t vocabulary, size_t tokens, float scale)
{
    f->vocabulary = vocabulary;
    f->tokens = tokens;
    f->table = uniform_floats(vocabulary * HIDDEN, scale, 1);
    f->norm = uniform_floats(HIDDEN, 1.0F, 2);
    f->hidden = uniform_floats(tokens * HIDDEN, 1.0F, 3);
    f->head = (struct lm_head){.weight = f->table,
                               .dtype = DTYPE_F32,
                               .vocab_size = vocabulary,
                               .hidden_size = HIDDEN,
                               .norm = {.weight = f->norm},
                               .norm_kind = NORM_RMS,
                               .norm_epsilon = 1e-5F};
    f->workspace = uniform_floats(lm_head_workspace_size(&f->head, tokens), 1e30F, 4);
    f->logits = calloc(tokens * vocabulary, sizeof *f->logits);
    float *normed = uniform_floats(tokens * HIDDEN, 1.0F, 0);
    naive_norm(normed, f->hidden, tokens, HIDDEN, &f->head.norm, NORM_RMS, 1e-5);
    for (size_t t = 0; t < tokens; t++)
        for (size_t v = 0; v < vocabulary; v++)
            for (size_t i = 0; i < HIDDEN; i++)
                f->logits[t * vocabulary + v] +=
                    (double)normed[t * HIDDEN + i] * (double)f->table[v * HIDDEN + i];
    free(normed);
}

static void destroy(struct fixture *f)
{
    free(f->table);
    free(f->norm);
    free(f->hidden);
    free(f->workspace);
    free(f->logits);
}

static void check(size_t vocabulary, size_t tokens, float scale, double tolerance)
{
    struct fixture f;
    create(&f, vocabulary, tokens, scale);
    int32_t *targets = calloc(tokens, sizeof *targets), *greedy = calloc(tokens, sizeof *greedy);
    double *log_likelihood = calloc(tokens, sizeof *log_likelihood);
    float *logits = uniform_floats(tokens * vocabulary, 1.0F, 9);
    for (size_t t = 0; t < tokens; t++)
        targets[t] = (int32_t)(t * 7919 % vocabulary);
    lm_head_log_likelihood(log_likelihood, greedy, &f.head, f.hidden, targets, tokens, f.workspace);
    lm_head_logits(logits, &f.head, f.hidden, tokens, f.workspace);

    for (size_t t = 0; t < tokens; t++) {
        const double *row = f.logits + t * vocabulary;
        double max = row[0], sum = 0.0;
        for (size_t v = 0; v < vocabulary; v++) {
            max = row[v] > max ? row[v] : max;
            assert_close((double)logits[t * vocabulary + v], row[v], tolerance);
        }
        for (size_t v = 0; v < vocabulary; v++)
            sum += exp(row[v] - max);
        assert_close(log_likelihood[t], row[targets[t]] - max - log(sum), 2 * tolerance);
        for (size_t v = 0; v < vocabulary; v++) // the first of the largest, as the logits have it
            assert_true(logits[t * vocabulary + v] < logits[t * vocabulary + (size_t)greedy[t]] ||
                        (logits[t * vocabulary + v] == logits[t * vocabulary + (size_t)greedy[t]] &&
                         v >= (size_t)greedy[t]));
    }
    free(targets);
    free(greedy);
    free(log_likelihood);
    free(logits);
    destroy(&f);
}

static void one_chunk(void **state)
{
    (void)state;
    check(5, 1, 1.0F, 1e-5);
    check(64, 17, 1.0F, 1e-5); // 12 products of up to 3: a few roundings of 2^-20
}

static void many_chunks_and_blocks(void **state)
{
    (void)state;
    check(2500, 30, 1.0F, 1e-5);
    check(1025, 1030, 1.0F, 1e-5);
}

static void huge_logits_do_not_overflow(void **state)
{
    (void)state;
    check(1500, 10, 1e4F, 0.05); // logits up to 1e5 have units of 2^-7
}

static void a_negative_target_is_not_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    create(&f, 20, 2, 1.0F);
    const int32_t targets[2] = {-1, 3};
    double log_likelihood[2] = {7, 7};
    lm_head_log_likelihood(log_likelihood, NULL, &f.head, f.hidden, targets, 2, f.workspace);
    assert_true(log_likelihood[0] == 0.0);
    assert_true(log_likelihood[1] < 0.0);
    destroy(&f);
}

static void sixteen_bit_heads_are_expanded_exactly(void **state)
{
    (void)state;
    struct fixture f;
    create(&f, 1100, 4, 1.0F);
    uint16_t *narrow = calloc(f.vocabulary * HIDDEN, sizeof *narrow);
    const int32_t targets[4] = {0, 1, 1024, 1099};
    double wide_result[4], narrow_result[4];
    for (int dtype = DTYPE_F16; dtype <= DTYPE_BF16; dtype++) {
        dtype_from_f32(narrow, f.table, (enum dtype)dtype, f.vocabulary * HIDDEN);
        dtype_to_f32(f.table, narrow, (enum dtype)dtype, f.vocabulary * HIDDEN);
        lm_head_log_likelihood(wide_result, NULL, &f.head, f.hidden, targets, 4, f.workspace);
        struct lm_head head = f.head;
        head.weight = narrow;
        head.dtype = (enum dtype)dtype;
        lm_head_log_likelihood(narrow_result, NULL, &head, f.hidden, targets, 4, f.workspace);
        assert_memory_equal(wide_result, narrow_result, sizeof wide_result);
    }
    free(narrow);
    destroy(&f);
}

static void memory_does_not_grow_with_the_vocabulary_times_positions(void **state)
{
    (void)state;
    const struct lm_head head = {.vocab_size = 256000, .hidden_size = 4096};
    assert_true(lm_head_workspace_size(&head, 4096) * sizeof(float) < (size_t)64 << 20);
}

static void soft_capped_logits(void **state)
{
    (void)state;
    struct fixture f;
    create(&f, 30, 3, 4.0F);
    const int32_t targets[3] = {0, 7, 29};
    double log_likelihood[3];
    float logits[3 * 30];
    f.head.logit_soft_cap = 2.0F;
    lm_head_log_likelihood(log_likelihood, NULL, &f.head, f.hidden, targets, 3, f.workspace);
    lm_head_logits(logits, &f.head, f.hidden, 3, f.workspace);
    for (size_t t = 0; t < 3; t++) {
        double sum = 0.0;
        for (size_t v = 0; v < 30; v++) {
            const double capped = 2.0 * tanh(f.logits[t * 30 + v] / 2.0);
            assert_close((double)logits[t * 30 + v], capped, 1e-5);
            sum += exp(capped);
        }
        const double target = 2.0 * tanh(f.logits[t * 30 + (size_t)targets[t]] / 2.0);
        assert_close(log_likelihood[t], target - log(sum), 1e-5);
    }
    destroy(&f);
}

// In the log-likelihood, in the logits and in the comparison alike; the bias is found in every chunk.
static void logits_have_a_scale_then_a_bias(void **state)
{
    enum { VOCABULARY = 1100, TOKENS = 3 };
    static float logits[TOKENS * VOCABULARY];
    const int32_t targets[TOKENS] = {0, 700, 1099};
    double log_likelihood[TOKENS], sum = 0.0;
    struct fixture f;
    (void)state;
    create(&f, VOCABULARY, TOKENS, 1.0F);
    float *bias = uniform_floats(VOCABULARY, 3.0F, 77);
    float *workspace = uniform_floats(lm_head_compare_workspace_size(&f.head, 1, TOKENS), 1e30F, 4);
    f.head.bias = bias;
    f.head.logit_scale = 0.375F;
    lm_head_log_likelihood(log_likelihood, NULL, &f.head, f.hidden, targets, TOKENS, f.workspace);
    lm_head_logits(logits, &f.head, f.hidden, TOKENS, f.workspace);
    for (size_t t = 0; t < TOKENS; t++) {
        double normaliser = 0.0;
        for (size_t v = 0; v < VOCABULARY; v++) {
            const double expected = 0.375 * f.logits[t * VOCABULARY + v] + (double)bias[v];
            assert_close((double)logits[t * VOCABULARY + v], expected, 1e-5);
            normaliser += exp(expected);
        }
        const size_t target = (size_t)targets[t];
        const double expected = 0.375 * f.logits[t * VOCABULARY + target] + (double)bias[target];
        assert_close(log_likelihood[t], expected - log(normaliser), 1e-5);
        sum += log_likelihood[t];
    }
    struct lm_comparison same = {.hidden = f.hidden};
    lm_head_compare(&same, 1, &f.head, f.hidden, targets, TOKENS, workspace);
    assert_close(same.log_likelihood, sum, 1e-5);
    free(workspace);
    free(bias);
    destroy(&f);
}

static void without_a_final_norm_hidden_states_are_taken_as_they_are(void **state)
{
    (void)state;
    const float weight[2][2] = {{1, 2}, {3, -1}}, hidden[2] = {5, 7}, expected[2] = {19, 8};
    const struct lm_head head = {.weight = weight, .vocab_size = 2, .hidden_size = 2};
    float logits[2], *workspace = uniform_floats(lm_head_workspace_size(&head, 1), 1.0F, 1);
    lm_head_logits(logits, &head, hidden, 1, workspace);
    assert_memory_equal(logits, expected, sizeof logits);
    free(workspace);
}

static void hidden_states_may_lie_in_wider_rows(void **state)
{
    enum { VOCABULARY = 30, TOKENS = 7, ROW = HIDDEN + 3 };
    struct fixture f;
    int32_t targets[TOKENS] = {4, 0, 29, 7, 7, 1, 12};
    double expected[TOKENS], found[TOKENS];
    float wide[TOKENS * ROW], logits[TOKENS * VOCABULARY];
    (void)state;

    create(&f, VOCABULARY, TOKENS, 1.0F);
    for (size_t i = 0; i < TOKENS * ROW; i++)
        wide[i] = i % ROW < HIDDEN ? f.hidden[i / ROW * HIDDEN + i % ROW] : 1e30F;
    lm_head_log_likelihood(expected, NULL, &f.head, f.hidden, targets, TOKENS, f.workspace);
    f.head.state_size = ROW;
    lm_head_log_likelihood(found, NULL, &f.head, wide, targets, TOKENS, f.workspace);
    assert_memory_equal(found, expected, sizeof found);
    lm_head_logits(logits, &f.head, wide, TOKENS, f.workspace);
    for (size_t i = 0; i < TOKENS * VOCABULARY; i++)
        assert_close((double)logits[i], f.logits[i], 1e-5);
    struct lm_comparison same = {.hidden = wide};
    float *workspace = uniform_floats(lm_head_compare_workspace_size(&f.head, 1, TOKENS), 1e30F, 4);
    lm_head_compare(&same, 1, &f.head, wide, targets, TOKENS, workspace);
    double sum = 0;
    for (size_t t = 0; t < TOKENS; t++)
        sum += expected[t];
    assert_close(same.log_likelihood, sum, 1e-5);
    free(workspace);
    destroy(&f);
}

// Two models over three chunks of the vocabulary and two blocks of positions, by the definition in double;
// the same bits whether they are compared together or one by one.
static void divergences_are_those_of_the_distributions(void **state)
{
    enum { VOCABULARY = 2500, TOKENS = 300 };
    struct fixture f;
    double divergence[2] = {0}, log_likelihood[2] = {0};
    (void)state;

    create(&f, VOCABULARY, TOKENS, 1.0F);
    int32_t *targets = calloc(TOKENS, sizeof *targets);
    float *logits[3], *hidden[3] = {f.hidden};
    float *workspace = uniform_floats(lm_head_compare_workspace_size(&f.head, 2, TOKENS), 1e30F, 4);
    for (size_t k = 0; k < 3; k++) {
        logits[k] = uniform_floats((size_t)TOKENS * VOCABULARY, 1.0F, 9);
        if (k > 0) {
            hidden[k] = uniform_floats((size_t)TOKENS * HIDDEN, 1.0F, 20 + k);
            for (size_t i = 0; i < (size_t)TOKENS * HIDDEN; i++)
                hidden[k][i] = f.hidden[i] + (k == 1 ? 0.01F : 1.0F) * hidden[k][i];
        }
        lm_head_logits(logits[k], &f.head, hidden[k], TOKENS, f.workspace);
    }
    for (size_t t = 0; t < TOKENS; t++)
        targets[t] = t % 5 == 3 ? -1 : (int32_t)(t * 7919 % VOCABULARY);
    for (size_t t = 0; t < TOKENS; t++)
        for (size_t k = 1; k < 3; k++) {
            const float *p = logits[0] + t * VOCABULARY, *q = logits[k] + t * VOCABULARY;
            double sum_p = 0, sum_q = 0;
            for (size_t v = 0; v < VOCABULARY; v++) {
                sum_p += exp((double)p[v]);
                sum_q += exp((double)q[v]);
            }
            for (size_t v = 0; v < VOCABULARY; v++)
                divergence[k - 1] +=
                    exp((double)p[v]) / sum_p * ((double)p[v] - log(sum_p) - (double)q[v] + log(sum_q));
            if (targets[t] >= 0)
                log_likelihood[k - 1] += (double)q[targets[t]] - log(sum_q);
        }

    struct lm_comparison both[2] = {{.hidden = hidden[1]}, {.hidden = hidden[2]}};
    lm_head_compare(both, 2, &f.head, f.hidden, targets, TOKENS, workspace);
    for (size_t k = 0; k < 2; k++) {
        struct lm_comparison alone = {.hidden = hidden[k + 1]};
        assert_true(divergence[k] > 0);
        assert_close(both[k].divergence, divergence[k], 1e-6 * TOKENS);
        assert_close(both[k].log_likelihood, log_likelihood[k], 1e-6 * TOKENS);
        lm_head_compare(&alone, 1, &f.head, f.hidden, targets, TOKENS, workspace);
        assert_true(alone.divergence == both[k].divergence && alone.log_likelihood == both[k].log_likelihood);
    }
    // Small next to that of a model that hardly differs, which is small itself.
    assert_true(divergence[0] < 1e-3 * divergence[1]);
    struct lm_comparison same = {.hidden = f.hidden};
    lm_head_compare(&same, 1, &f.head, f.hidden, targets, TOKENS, workspace);
    assert_close(same.divergence, 0, 1e-6 * TOKENS);
    assert_true(fabs(same.divergence) < 1e-2 * divergence[0]);
    for (size_t k = 0; k < 3; k++)
        free(logits[k]);
    free(hidden[1]);
    free(hidden[2]);
    free(targets);
    free(workspace);
    destroy(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_chunk),
        cmocka_unit_test(many_chunks_and_blocks),
        cmocka_unit_test(huge_logits_do_not_overflow),
        cmocka_unit_test(a_negative_target_is_not_asked_for),
        cmocka_unit_test(sixteen_bit_heads_are_expanded_exactly),
        cmocka_unit_test(memory_does_not_grow_with_the_vocabulary_times_positions),
        cmocka_unit_test(soft_capped_logits),
        cmocka_unit_test(logits_have_a_scale_then_a_bias),
        cmocka_unit_test(hidden_states_may_lie_in_wider_rows),
        cmocka_unit_test(without_a_final_norm_hidden_states_are_taken_as_they_are),
        cmocka_unit_test(divergences_are_those_of_the_distributions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
