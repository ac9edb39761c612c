// Query, key and value, or gate and up, in one weight: the bits of separate ones.
#include "tests/support/small_decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// rows[] of b after those of a: one weight for what were several.
static struct linear stacked(const struct linear *parts, size_t count)
{
    size_t out = 0;
    for (size_t i = 0; i < count; i++)
        out += parts[i].out;
    float *weight = uniform_floats(out * parts[0].in, 1.0F, 0), *bias = uniform_floats(out, 1.0F, 0);
    size_t row = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(weight + row * parts[0].in, parts[i].weight, parts[i].out * parts[0].in * sizeof *weight);
        memcpy(bias + row, parts[i].bias, parts[i].out * sizeof *bias);
        row += parts[i].out;
    }
    return (struct linear){.out = out, .in = parts[0].in, .weight = weight, .bias = bias};
}

static void fused_linears_give_the_bits_of_separate_ones(void **state)
{
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true), fused = layer;
    fused.qkv = stacked((const struct linear[]){layer.q, layer.k, layer.v}, 3);
    fused.gate_up = stacked((const struct linear[]){layer.gate, layer.up}, 2);
    fused.q = fused.k = fused.v = fused.gate = fused.up = (struct linear){0};
    assert_same_output(&config, &layer, &config, &fused);
    free_linear(&fused.qkv);
    free_linear(&fused.gate_up);
    free_layer(&layer);
}

static void per_head_qkv_gives_the_bits_of_separate_linears(void **state)
{
    (void)state;
    struct decoder_config config = small_config(), per_head = config;
    config.num_key_value_heads = per_head.num_key_value_heads = HEADS;
    per_head.qkv_layout = QKV_PER_HEAD;
    struct decoder_layer layer = random_layer(true);
    free_linear(&layer.k);
    free_linear(&layer.v);
    layer.k = random_linear(QUERY, HIDDEN, true, 4);
    layer.v = random_linear(QUERY, HIDDEN, true, 5);
    struct linear parts[3 * HEADS];
    for (size_t h = 0; h < HEADS; h++) {
        parts[3 * h] = linear_slice(&layer.q, h * HEAD_DIM, HEAD_DIM);
        parts[3 * h + 1] = linear_slice(&layer.k, h * HEAD_DIM, HEAD_DIM);
        parts[3 * h + 2] = linear_slice(&layer.v, h * HEAD_DIM, HEAD_DIM);
    }
    struct decoder_layer fused = layer;
    fused.qkv = stacked(parts, 3 * HEADS);
    fused.q = fused.k = fused.v = (struct linear){0};
    assert_same_output(&config, &layer, &per_head, &fused);
    free_linear(&fused.qkv);
    free_layer(&layer);
}

// qkv <- the rows of q, k and v, group by group.
static void group(struct linear *parts, const struct decoder_layer *layer, size_t groups, bool value_first)
{
    const size_t queries = QUERY / groups, keys = KEY_VALUE / groups;
    for (size_t g = 0; g < groups; g++) {
        parts[3 * g] = linear_slice(&layer->q, g * queries, queries);
        parts[3 * g + (value_first ? 2 : 1)] = linear_slice(&layer->k, g * keys, keys);
        parts[3 * g + (value_first ? 1 : 2)] = linear_slice(&layer->v, g * keys, keys);
    }
}

static void grouped_qkv_gives_the_bits_of_separate_linears(void **state)
{
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    struct linear parts[3 * KV_HEADS];
    for (size_t groups = 1; groups <= KV_HEADS; groups++)
        for (int value_first = 0; value_first < 2; value_first++) {
            struct decoder_config grouped = config;
            struct decoder_layer fused = layer;
            grouped.qkv_layout = value_first ? QKV_GROUPS_VALUE_FIRST : QKV_GROUPS;
            grouped.qkv_groups = groups;
            group(parts, &layer, groups, value_first);
            fused.qkv = stacked(parts, 3 * groups);
            fused.q = fused.k = fused.v = (struct linear){0};
            assert_same_output(&config, &layer, &grouped, &fused);
            free_linear(&fused.qkv);
        }
    free_layer(&layer);
}

static void heads_begin_at_these_rows_of_a_fused_linear(void **state)
{
    (void)state;
    struct decoder_config config = {.num_attention_heads = 6, .num_key_value_heads = 2, .head_dim = 10};
    assert_int_equal(qkv_row(&config, QKV_QUERY, 5), 50); // q0 ... q5, k0, k1, v0, v1
    assert_int_equal(qkv_row(&config, QKV_KEY, 1), 70);
    assert_int_equal(qkv_row(&config, QKV_VALUE, 1), 90);
    config.qkv_layout = QKV_GROUPS; // q0, q1, q2, k0, v0, q3, ...
    config.qkv_groups = 2;
    assert_int_equal(qkv_row(&config, QKV_QUERY, 4), 60);
    assert_int_equal(qkv_row(&config, QKV_KEY, 1), 80);
    assert_int_equal(qkv_row(&config, QKV_VALUE, 0), 40);
    config.qkv_layout = QKV_GROUPS_VALUE_FIRST;
    assert_int_equal(qkv_row(&config, QKV_KEY, 0), 40);
    assert_int_equal(qkv_row(&config, QKV_VALUE, 1), 80);
    config.num_key_value_heads = 6;
    config.qkv_layout = QKV_PER_HEAD; // q0, k0, v0, q1, ...
    assert_int_equal(qkv_row(&config, QKV_VALUE, 3), 110);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_linears_give_the_bits_of_separate_ones),
        cmocka_unit_test(per_head_qkv_gives_the_bits_of_separate_linears),
        cmocka_unit_test(grouped_qkv_gives_the_bits_of_separate_linears),
        cmocka_unit_test(heads_begin_at_these_rows_of_a_fused_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
