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
    struct attention attention = {.num_heads = 1,
                                  .num_key_value_heads = 1,
                                  .head_dim = SIZE,
                                  .query = q,
                                  .key = k,
                                  .value = v,
                                  .token_stride = SIZE,
                                  .query_head_stride = SIZE,
                                  .key_value_head_stride = SIZE,
                                  .scale = 1.0F};
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

static void a_bias_of_positions_is_added_to_the_scores(void **state)
{
    enum { HEADS = 2, TOKENS = 140, STRIDE = TOKENS + 3 };
    (void)state;
    float *q = uniform_floats(TOKENS * HEADS, 1.0F, 1), *k = uniform_floats(TOKENS * HEADS, 1.0F, 2);
    float *v = uniform_floats(TOKENS * HEADS, 1.0F, 3), *bias = uniform_floats(HEADS * STRIDE, 2.0F, 4);
    float *workspace = uniform_floats(attention_workspace_size(TOKENS), 1.0F, 5);
    float *out = uniform_floats(TOKENS * HEADS, 1.0F, 6);
    struct attention attention = {.num_heads = HEADS,
                                  .num_key_value_heads = HEADS,
                                  .head_dim = 1,
                                  .query = q,
                                  .key = k,
                                  .value = v,
                                  .token_stride = HEADS,
                                  .query_head_stride = 1,
                                  .key_value_head_stride = 1,
                                  .scale = 0.5F,
                                  .bias = bias,
                                  .bias_stride = STRIDE};
    for (size_t window = 0; window < 20; window += 19) {
        attention.sliding_window = window;
        attention_forward(out, &attention, TOKENS, workspace);
        for (size_t t = 0; t < TOKENS; t++)
            for (size_t h = 0; h < HEADS; h++) {
                double sum = 0.0, weighted = 0.0;
                for (size_t u = window == 0 || t < window ? 0 : t + 1 - window; u <= t; u++) {
                    const double score = 0.5 * (double)q[t * HEADS + h] * (double)k[u * HEADS + h];
                    const double e = exp(score + (double)bias[h * STRIDE + u]);
                    sum += e;
                    weighted += e * (double)v[u * HEADS + h];
                }
                assert_close((double)out[t * HEADS + h], weighted / sum, tolerance);
            }
    }
    free(q);
    free(k);
    free(v);
    free(bias);
    free(workspace);
    free(out);
}

// The last `tokens - past` tokens as the continuation of the others, compared with all in one.
static void check_past(size_t tokens, size_t past, size_t window, size_t chunk)
{
    enum { HEADS = 4, KV_HEADS = 2, SIZE = 6, ROW = (HEADS + 2 * KV_HEADS) * SIZE };
    float *rows = uniform_floats(tokens * ROW, 1.0F, 1);
    float *whole = uniform_floats(tokens * HEADS * SIZE, 1.0F, 2),
          *part = uniform_floats(tokens * HEADS * SIZE, 1.0F, 2);
    float *workspace = uniform_floats(attention_workspace_size(tokens), 1.0F, 3);
    struct attention attention = {.num_heads = HEADS,
                                  .num_key_value_heads = KV_HEADS,
                                  .head_dim = SIZE,
                                  .query = rows,
                                  .key = rows + HEADS * SIZE,
                                  .value = rows + (HEADS + KV_HEADS) * SIZE,
                                  .token_stride = ROW,
                                  .query_head_stride = SIZE,
                                  .key_value_head_stride = SIZE,
                                  .scale = 0.7F,
                                  .soft_cap = 3.0F,
                                  .sliding_window = window,
                                  .chunk = chunk};
    float *bias = uniform_floats(HEADS * tokens, 1.0F, 9);
    attention.bias = past % 2 == 1 ? bias : NULL;
    attention.bias_stride = tokens;
    const struct attention_past old = {past, attention.key, attention.value};
    attention_forward(whole, &attention, tokens, workspace);
    attention.query += past * ROW;
    attention.key += past * ROW;
    attention.value += past * ROW;
    attention_forward_after(part, &attention, &old, tokens - past, workspace);
    assert_true(largest_difference(whole + past * HEADS * SIZE, part, (tokens - past) * HEADS * SIZE) <
                tolerance);
    free(bias);
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
            check_past(200, pasts[p], windows[w], 0);
    check_past(400, 30, 0, 0); // more than one block of queries, both see the past
    check_past(400, 30, 140, 0);
    for (size_t p = 0; p < sizeof pasts / sizeof pasts[0]; p++)
        check_past(200, pasts[p], 0, 40);
    check_past(400, 30, 0, 140);
}

// Every chunk is a sequence by itself.
static void chunks_do_not_see_each_other(void **state)
{
    enum { TOKENS = 300, HEADS = 2, SIZE = 6, ROW = 3 * HEADS * SIZE, OUT = HEADS * SIZE };
    static const size_t chunks[] = {1, 7, 128, 150, 299, 300, 1000};
    float *rows = uniform_floats((size_t)TOKENS * ROW, 1.0F, 1);
    float *whole = uniform_floats((size_t)TOKENS * OUT, 1.0F, 2),
          *part = uniform_floats((size_t)TOKENS * OUT, 1.0F, 2);
    float *workspace = uniform_floats(attention_workspace_size(TOKENS), 1.0F, 3);
    (void)state;

    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        struct attention attention = {.num_heads = HEADS,
                                      .num_key_value_heads = HEADS,
                                      .head_dim = SIZE,
                                      .query = rows,
                                      .key = rows + OUT,
                                      .value = rows + 2 * OUT,
                                      .token_stride = ROW,
                                      .query_head_stride = SIZE,
                                      .key_value_head_stride = SIZE,
                                      .scale = 0.7F,
                                      .chunk = chunks[c]};
        attention_forward(whole, &attention, TOKENS, workspace);
        attention.chunk = 0;
        for (size_t first = 0; first < TOKENS; first += chunks[c]) {
            const size_t left = TOKENS - first;
            attention.query = rows + first * ROW;
            attention.key = attention.query + OUT;
            attention.value = attention.key + OUT;
            attention_forward(part + first * OUT, &attention, left < chunks[c] ? left : chunks[c], workspace);
        }
        assert_true(largest_difference(whole, part, (size_t)TOKENS * OUT) < tolerance);
    }
    free(rows);
    free(whole);
    free(part);
    free(workspace);
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
    const struct attention attention = {.num_heads = 1,
                                        .num_key_value_heads = 1,
                                        .head_dim = SIZE,
                                        .query = q,
                                        .key = k,
                                        .value = v,
                                        .token_stride = SIZE,
                                        .query_head_stride = SIZE,
                                        .key_value_head_stride = SIZE,
                                        .scale = 0.5F,
                                        .soft_cap = 2.0F};
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

// Two heads with values of another size than the keys, in rows of [query 2 x 3, key 2 x 3, (key, value)
// 2 x (3 + 5)], and a sink for each head.
static void check_wide_values(size_t tokens, size_t window, size_t past)
{
    enum { HEADS = 2, SIZE = 3, VALUE = 5, PAIR = SIZE + VALUE, ROW = HEADS * (2 * SIZE + PAIR) };
    const float sinks[HEADS] = {0.5F, -1.5F};
    float *rows = uniform_floats(tokens * ROW, 1.0F, 1),
          *out = uniform_floats(tokens * HEADS * VALUE, 1.0F, 2);
    float *workspace = uniform_floats(attention_workspace_size(tokens), 1.0F, 3);
    struct attention attention = {.num_heads = HEADS,
                                  .num_key_value_heads = HEADS,
                                  .head_dim = SIZE,
                                  .query = rows,
                                  .key = rows + HEADS * SIZE,
                                  .value = rows + 2 * HEADS * SIZE + SIZE,
                                  .token_stride = ROW,
                                  .query_head_stride = SIZE,
                                  .key_value_head_stride = SIZE,
                                  .value_dim = VALUE,
                                  .value_head_stride = PAIR,
                                  .sinks = sinks,
                                  .scale = 0.7F,
                                  .sliding_window = window};
    const struct attention_past old = {past, attention.key, attention.value};
    attention.query += past * ROW;
    attention.key += past * ROW;
    attention.value += past * ROW;
    attention_forward_after(out, &attention, &old, tokens - past, workspace);
    for (size_t t = past; t < tokens; t++) {
        for (size_t h = 0; h < HEADS; h++) {
            double sum = exp((double)sinks[h]), expected[VALUE] = {0};
            for (size_t u = window != 0 && t >= window ? t - window + 1 : 0; u <= t; u++) {
                const float *key = rows + u * ROW + (HEADS + h) * SIZE;
                double score = 0;
                for (size_t i = 0; i < SIZE; i++)
                    score += (double)rows[t * ROW + h * SIZE + i] * (double)key[i];
                const double e = exp((double)0.7F * score);
                sum += e;
                for (size_t i = 0; i < VALUE; i++)
                    expected[i] += e * (double)rows[u * ROW + 2 * HEADS * SIZE + h * PAIR + SIZE + i];
            }
            for (size_t i = 0; i < VALUE; i++)
                assert_close((double)out[((t - past) * HEADS + h) * VALUE + i], expected[i] / sum, tolerance);
        }
    }
    free(rows);
    free(out);
    free(workspace);
}

static void values_may_be_wider_than_keys_and_sinks_take_their_share(void **state)
{
    (void)state;
    check_wide_values(1, 0, 0);
    check_wide_values(140, 0, 0);
    check_wide_values(140, 9, 0);
    check_wide_values(140, 0, 7);
    check_wide_values(140, 9, 7);
}

static void a_sink_above_all_scores_leaves_nothing(void **state)
{
    (void)state;
    const float one[1] = {1.0F}, sinks[1] = {200.0F};
    float out[1], workspace[1];
    const struct attention attention = {.num_heads = 1,
                                        .num_key_value_heads = 1,
                                        .head_dim = 1,
                                        .query = one,
                                        .key = one,
                                        .value = one,
                                        .token_stride = 1,
                                        .query_head_stride = 1,
                                        .key_value_head_stride = 1,
                                        .sinks = sinks,
                                        .scale = 1.0F};
    attention_forward(out, &attention, 1, workspace);
    assert_true(out[0] == 0.0F); // e^-199 of it
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_around_a_block),
        cmocka_unit_test(groups_of_heads_share_keys_and_values),
        cmocka_unit_test(a_window_hides_what_is_too_old),
        cmocka_unit_test(what_comes_later_never_matters),
        cmocka_unit_test(a_past_counts_as_if_it_were_there),
        cmocka_unit_test(chunks_do_not_see_each_other),
        cmocka_unit_test(a_bias_of_positions_is_added_to_the_scores),
        cmocka_unit_test(memory_is_a_block_of_queries_not_the_square),
        cmocka_unit_test(a_soft_cap_bends_the_scores),
        cmocka_unit_test(values_may_be_wider_than_keys_and_sinks_take_their_share),
        cmocka_unit_test(a_sink_above_all_scores_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
