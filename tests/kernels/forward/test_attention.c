// Causal grouped-query attention against the plain loop.
#include "kernels/forward/attention.h"
#include "tests/support/naive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

// Scores up to 8 are float32 sums, so each probability is off by about 8 * 2^-24; values are below 1.
static const double tolerance = 3e-6;

static void check(size_t tokens, size_t heads, size_t kv_heads, size_t head_dim, size_t window)
{
    const size_t q_size = heads * head_dim, kv_size = kv_heads * head_dim;
    float *q = uniform_floats(tokens * q_size, 1.0F, 1), *k = uniform_floats(tokens * kv_size, 1.0F, 2);
    float *v = uniform_floats(tokens * kv_size, 1.0F, 3);
    float *out = uniform_floats(tokens * q_size, 1.0F, 4),
          *expected = uniform_floats(tokens * q_size, 1.0F, 4);
    float *workspace = uniform_floats(attention_workspace_size(tokens), 1.0F, 5);
    // The kernel takes query, key and value from one array whose rows hold all three.
    const size_t stride = q_size + 2 * kv_size;
    float *fused = uniform_floats(tokens * stride, 1.0F, 6);
    for (size_t t = 0; t < tokens; t++) {
        for (size_t i = 0; i < q_size; i++)
            fused[t * stride + i] = q[t * q_size + i];
        for (size_t i = 0; i < kv_size; i++) {
            fused[t * stride + q_size + i] = k[t * kv_size + i];
            fused[t * stride + q_size + kv_size + i] = v[t * kv_size + i];
        }
    }
    const struct attention attention = {
        .num_heads = heads,
        .num_key_value_heads = kv_heads,
        .head_dim = head_dim,
        .query = fused,
        .key = fused + q_size,
        .value = fused + q_size + kv_size,
        .token_stride = stride,
        .query_head_stride = head_dim,
        .key_value_head_stride = head_dim,
        .scale = 0.7F,
        .sliding_window = window,
    };
    attention_forward(out, &attention, tokens, workspace);
    const struct naive_heads naive = {.tokens = tokens,
                                      .heads = heads,
                                      .kv_heads = kv_heads,
                                      .head_dim = head_dim,
                                      .window = window,
                                      .scale = (double)0.7F};
    naive_attention(expected, q, k, v, &naive);
    assert_true(largest_difference(out, expected, tokens * q_size) < tolerance);
    free(q);
    free(k);
    free(v);
    free(out);
    free(expected);
    free(workspace);
    free(fused);
}

static void every_length_around_a_block(void **state)
{
    static const size_t lengths[] = {1, 2, 3, 63, 127, 128, 129, 255, 256, 257, 300};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        check(lengths[i], 2, 2, 8, 0);
}

static void groups_of_heads_share_keys_and_values(void **state)
{
    (void)state;
    check(40, 6, 2, 4, 0);
    check(40, 6, 1, 5, 0);
    check(40, 6, 6, 5, 0);
}

static void a_window_hides_what_is_too_old(void **state)
{
    static const size_t windows[] = {1, 2, 5, 127, 128, 129, 199, 200, 500};
    (void)state;
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++)
        check(200, 2, 1, 6, windows[i]);
}

static void what_comes_later_never_matters(void **state)
{
    enum { TOKENS = 150, SIZE = 4 };
    (void)state;
    float *q = uniform_floats((size_t)TOKENS * SIZE, 1.0F, 1),
          *k = uniform_floats((size_t)TOKENS * SIZE, 1.0F, 2);
    float *v = uniform_floats((size_t)TOKENS * SIZE, 1.0F, 3),
          *workspace = uniform_floats((size_t)TOKENS * TOKENS, 1, 0);
    float *before = uniform_floats((size_t)TOKENS * SIZE, 1.0F, 4),
          *after = uniform_floats((size_t)TOKENS * SIZE, 1, 4);
    struct attention attention = {1, 1, SIZE, q, k, v, SIZE, SIZE, SIZE, 1.0F, 0.0F, 0};
    attention_forward(before, &attention, TOKENS, workspace);
    for (size_t i = 140 * SIZE; i < (size_t)TOKENS * SIZE; i++) {
        k[i] = 1e6F;
        v[i] = -1e6F;
    }
    attention_forward(after, &attention, TOKENS, workspace);
    assert_memory_equal(before, after, 140 * SIZE * sizeof *before);
    free(q);
    free(k);
    free(v);
    free(workspace);
    free(before);
    free(after);
}

// The last `tokens - past` tokens as the continuation of the others, compared with all in one.
static void check_past(size_t tokens, size_t past, size_t window)
{
    enum { HEADS = 4, KV_HEADS = 2, SIZE = 6, ROW = (HEADS + 2 * KV_HEADS) * SIZE };
    float *rows = uniform_floats(tokens * ROW, 1.0F, 1);
    float *whole = uniform_floats(tokens * HEADS * SIZE, 1.0F, 2),
          *part = uniform_floats(tokens * HEADS * SIZE, 1.0F, 2);
    float *workspace = uniform_floats(attention_workspace_size(tokens), 1.0F, 3);
    struct attention attention = {
        HEADS, KV_HEADS, SIZE, rows,  rows + HEADS * SIZE, rows + (HEADS + KV_HEADS) * SIZE, ROW, SIZE,
        SIZE,  0.7F,     3.0F, window};
    const struct attention_past old = {past, attention.key, attention.value};
    attention_forward(whole, &attention, tokens, workspace);
    attention.query += past * ROW;
    attention.key += past * ROW;
    attention.value += past * ROW;
    attention_forward_after(part, &attention, &old, tokens - past, workspace);
    assert_true(largest_difference(whole + past * HEADS * SIZE, part, (tokens - past) * HEADS * SIZE) <
                tolerance);
    free(rows);
    free(whole);
    free(part);
    free(workspace);
}

static void a_past_counts_as_if_it_were_there(void **state)
{
    static const size_t windows[] = {0, 1, 3, 70, 131, 500};
    static const size_t pasts[] = {0, 1, 5, 128, 150, 199};
    (void)state;
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++)
        for (size_t p = 0; p < sizeof pasts / sizeof pasts[0]; p++)
            check_past(200, pasts[p], windows[w]);
    check_past(400, 30, 0); // more than one block of queries, both see the past
    check_past(400, 30, 140);
}

static void memory_is_a_block_of_queries_not_the_square(void **state)
{
    (void)state;
    assert_true(attention_workspace_size(100000) <= (size_t)100000 * 256);
}

static void a_soft_cap_bends_the_scores(void **state)
{
    enum { TOKENS = 3, SIZE = 1 };
    (void)state;
    const float q[TOKENS] = {1, 2, 3}, k[TOKENS] = {4, -5, 6}, v[TOKENS] = {1, 10, 100};
    float out[TOKENS], workspace[TOKENS * TOKENS];
    const struct attention attention = {1, 1, SIZE, q, k, v, SIZE, SIZE, SIZE, 0.5F, 2.0F, 0};
    attention_forward(out, &attention, TOKENS, workspace);
    for (size_t t = 0; t < TOKENS; t++) {
        double sum = 0.0, weighted = 0.0;
        for (size_t u = 0; u <= t; u++) {
            const double e = exp(2.0 * tanh(0.5 * (double)q[t] * (double)k[u] / 2.0));
            sum += e;
            weighted += e * (double)v[u];
        }
        assert_close((double)out[t], weighted / sum, 3e-5); // values up to 100
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_around_a_block),
        cmocka_unit_test(groups_of_heads_share_keys_and_values),
        cmocka_unit_test(a_window_hides_what_is_too_old),
        cmocka_unit_test(what_comes_later_never_matters),
        cmocka_unit_test(a_past_counts_as_if_it_were_there),
        cmocka_unit_test(memory_is_a_block_of_queries_not_the_square),
        cmocka_unit_test(a_soft_cap_bends_the_scores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
