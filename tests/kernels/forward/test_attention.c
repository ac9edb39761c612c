// Causal grouped-query attention against the plain loop.
#include "kernels/blas.h"
#include "kernels/forward/attention.h"
#include "tests/support/naive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Scores up to 8 are float32 sums, so each probability is off by about 8 * 2^-24; values are below 1.
static const double tolerance = 3e-6;

static float *new_workspace(const struct attention *attention, size_t tokens)
{
    return uniform_floats(attention_workspace_size(attention, tokens), 1.0F, 5);
}

static void check(size_t tokens, size_t heads, size_t kv_heads, size_t head_dim, size_t window)
{
    const size_t q_size = heads * head_dim, kv_size = kv_heads * head_dim;
    float *q = uniform_floats(tokens * q_size, 1.0F, 1), *k = uniform_floats(tokens * kv_size, 1.0F, 2);
    float *v = uniform_floats(tokens * kv_size, 1.0F, 3);
    float *out = uniform_floats(tokens * q_size, 1.0F, 4),
          *expected = uniform_floats(tokens * q_size, 1.0F, 4);
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
    float *workspace = new_workspace(&attention, tokens);
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
    float *v = uniform_floats((size_t)TOKENS * SIZE, 1.0F, 3);
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
    float *workspace = new_workspace(&attention, TOKENS);
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
    float *workspace = new_workspace(&attention, TOKENS);
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
    float *workspace = new_workspace(&attention, tokens);
    attention_forward(whole, &attention, tokens, workspace);
    attention.query += past * ROW;
    attention.key += past * ROW;
    attention.value += past * ROW;
    attention_forward_after(part, &attention, &old, tokens - past, workspace);
    const size_t size = (tokens - past) * HEADS * SIZE;
    assert_true(largest_difference(whole + past * HEADS * SIZE, part, size) < tolerance);
    if (blas_keeps_bits())
        assert_memory_equal(whole + past * HEADS * SIZE, part, size * sizeof *part);
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
    check_past(700, 450, 300, 0); // blocks of keys do not begin with the window
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
        float *workspace = new_workspace(&attention, TOKENS);
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
        free(workspace);
    }
    free(rows);
    free(whole);
    free(part);
}

static void memory_does_not_grow_with_the_sequence(void **state)
{
    const struct attention sizes = {.num_heads = 32, .head_dim = 128};
    (void)state;
    assert_int_equal(attention_workspace_size(&sizes, 100000), attention_workspace_size(&sizes, 2000));
    assert_true(attention_workspace_size(&sizes, 100000) * sizeof(float) < 3 << 20);
    assert_true(attention_workspace_size(&sizes, 1) < attention_workspace_size(&sizes, 2));
}

static void a_soft_cap_bends_the_scores(void **state)
{
    enum { TOKENS = 3, SIZE = 1 };
    (void)state;
    const float q[TOKENS] = {1, 2, 3}, k[TOKENS] = {4, -5, 6}, v[TOKENS] = {1, 10, 100};
    float out[TOKENS];
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
    float *workspace = new_workspace(&attention, TOKENS);
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
    free(workspace);
}

// Two heads with values of another size than the keys, in rows of [query 2 x 3, key 2 x 3, (key, value)
// 2 x (3 + 5)], and a sink for each head.
static void check_wide_values(size_t tokens, size_t window, size_t past)
{
    enum { HEADS = 2, SIZE = 3, VALUE = 5, PAIR = SIZE + VALUE, ROW = HEADS * (2 * SIZE + PAIR) };
    const float sinks[HEADS] = {0.5F, -1.5F};
    float *rows = uniform_floats(tokens * ROW, 1.0F, 1),
          *out = uniform_floats(tokens * HEADS * VALUE, 1.0F, 2);
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
    float *workspace = new_workspace(&attention, tokens);
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
    float out[1];
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
    float *workspace = new_workspace(&attention, 1);
    attention_forward(out, &attention, 1, workspace);
    assert_true(out[0] == 0.0F); // e^-199 of it
    free(workspace);
}

// ---- all parts at once, in double ------------------------------------------------------------------------

struct shape {
    size_t tokens, past, heads, kv_heads, head_dim, value, window, chunk;
    float soft_cap;
    bool sinks, bias;
    float size; // of whole numbers in queries and keys, so that scores are exact; 0: fractions up to 1
};

// Query, key and value of a token side by side.
static size_t row_size(const struct shape *s)
{
    return (s->heads + s->kv_heads) * s->head_dim + s->kv_heads * s->value;
}

static bool sees(const struct shape *s, size_t query, size_t key)
{
    return key <= query && (s->window == 0 || key + s->window > query) &&
           (s->chunk == 0 || query / s->chunk == key / s->chunk);
}

// expected[value] of one query of one head.
static void attend_plainly(double *expected, const struct shape *s, const float *rows,
                           const struct attention *attention, size_t query, size_t head)
{
    const size_t group = head / (s->heads / s->kv_heads), row = row_size(s);
    double *scores = calloc(query + 1, sizeof *scores), max = -HUGE_VAL, sum = 0;

    assert_non_null(scores);
    for (size_t k = 0; k <= query; k++) {
        for (size_t i = 0; i < s->head_dim; i++)
            scores[k] += (double)rows[query * row + head * s->head_dim + i] *
                         (double)rows[k * row + (s->heads + group) * s->head_dim + i];
        scores[k] *= (double)attention->scale;
        if (s->bias)
            scores[k] += (double)attention->bias[head * attention->bias_stride + k] -
                         (double)attention->bias[head * attention->bias_stride + query];
        if (s->soft_cap != 0)
            scores[k] = (double)s->soft_cap * tanh(scores[k] / (double)s->soft_cap);
        if (sees(s, query, k))
            max = fmax(max, scores[k]);
    }
    if (s->sinks) {
        max = fmax(max, (double)attention->sinks[head]);
        sum = exp((double)attention->sinks[head] - max);
    }
    for (size_t i = 0; i < s->value; i++)
        expected[i] = 0;
    for (size_t k = 0; k <= query; k++) {
        const double power = sees(s, query, k) ? exp(scores[k] - max) : 0;
        sum += power;
        for (size_t i = 0; i < s->value; i++)
            expected[i] +=
                power * (double)rows[k * row + (s->heads + s->kv_heads) * s->head_dim + group * s->value + i];
    }
    for (size_t i = 0; i < s->value; i++)
        expected[i] /= sum;
    free(scores);
}

static void check_shape(const struct shape *s)
{
    const size_t row = row_size(s), keys = (s->heads + s->kv_heads) * s->head_dim;
    float *rows = uniform_floats(s->tokens * row, 1.0F, 1),
          *bias = uniform_floats(s->heads * s->tokens, 2.0F, 2);
    float *sinks = uniform_floats(s->heads, 3.0F, 3);
    float *out = uniform_floats((s->tokens - s->past) * s->heads * s->value, 1.0F, 4);
    double *expected = calloc(s->value, sizeof *expected);

    assert_non_null(expected);
    // Scores grow along the sequence: the maximum changes in nearly every block.
    for (size_t t = 0; t < s->tokens && s->size != 0; t++)
        for (size_t i = 0; i < keys; i++)
            rows[t * row + i] = roundf(rows[t * row + i] * s->size * (float)(1 + t / 100));
    struct attention attention = {.num_heads = s->heads,
                                  .num_key_value_heads = s->kv_heads,
                                  .head_dim = s->head_dim,
                                  .value_dim = s->value,
                                  .query = rows,
                                  .key = rows + s->heads * s->head_dim,
                                  .value = rows + keys,
                                  .token_stride = row,
                                  .query_head_stride = s->head_dim,
                                  .key_value_head_stride = s->head_dim,
                                  .value_head_stride = s->value,
                                  .sinks = s->sinks ? sinks : NULL,
                                  .scale = s->size != 0 ? 0.25F : 0.7F,
                                  .soft_cap = s->soft_cap,
                                  .bias = s->bias ? bias : NULL,
                                  .bias_stride = s->tokens,
                                  .sliding_window = s->window,
                                  .chunk = s->chunk};
    // The past lies elsewhere, and behind it what must not be read.
    float *old = malloc((s->past + 1) * row * sizeof *old);
    assert_non_null(old);
    memcpy(old, rows, s->past * row * sizeof *old);
    for (size_t i = 0; i < row; i++)
        old[s->past * row + i] = NAN;
    const struct attention_past past = {s->past, old + s->heads * s->head_dim, old + keys};
    float *workspace = new_workspace(&attention, s->tokens - s->past);
    attention.query += s->past * row;
    attention.key += s->past * row;
    attention.value += s->past * row;
    attention_forward_after(out, &attention, &past, s->tokens - s->past, workspace);
    for (size_t t = s->past; t < s->tokens; t++)
        for (size_t h = 0; h < s->heads; h++) {
            attend_plainly(expected, s, rows, &attention, t, h);
            for (size_t i = 0; i < s->value; i++)
                assert_close((double)out[((t - s->past) * s->heads + h) * s->value + i], expected[i],
                             tolerance);
        }
    free(rows);
    free(old);
    free(bias);
    free(sinks);
    free(out);
    free(expected);
    free(workspace);
}

static void every_part_is_its_formula(void **state)
{
    static const struct shape shapes[] = {
        {600, 0, 2, 1, 5, 5, 0, 0, 0, false, false, 0},    // three blocks of keys, the last one short
        {600, 0, 6, 2, 3, 7, 300, 0, 0, true, false, 0},   // windows that begin inside a block
        {530, 0, 2, 2, 4, 4, 20, 0, 0, false, true, 0},    // and end in the same one
        {600, 0, 3, 1, 4, 4, 0, 270, 5, false, false, 0},  // chunks likewise
        {1300, 0, 2, 2, 3, 3, 0, 0, 0, true, true, 0},     // more than one block of queries
        {800, 333, 6, 2, 4, 6, 290, 0, 4, true, true, 0},  // all of it after a past that ends inside a block
        {514, 513, 14, 2, 8, 8, 0, 0, 0, false, false, 0}, // one token more
        {600, 0, 2, 1, 4, 4, 0, 0, 0, false, false, 40},   // scores to 1e4 and above, both signs
        {600, 100, 2, 2, 4, 4, 260, 0, 0, true, false, 40}, {600, 0, 2, 2, 4, 4, 0, 0, 50, false, false, 40},
    };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check_shape(&shapes[i]);
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
        cmocka_unit_test(memory_does_not_grow_with_the_sequence),
        cmocka_unit_test(a_soft_cap_bends_the_scores),
        cmocka_unit_test(values_may_be_wider_than_keys_and_sinks_take_their_share),
        cmocka_unit_test(a_sink_above_all_scores_leaves_nothing),
        cmocka_unit_test(every_part_is_its_formula),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
