// What one decoder layer computes, against the same layer in plain loops.
#include "tests/support/small_decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_llama_layer(bool bias, size_t window)
{
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(bias);

    layer.sliding_window = window;
    check_layer(&config, &layer, NULL);
    free_layer(&layer);
}

static void a_llama_layer(void **state)
{
    (void)state;
    check_llama_layer(false, 0);
}

static void a_layer_with_biases(void **state)
{
    (void)state;
    check_llama_layer(true, 0);
}

static void a_layer_with_a_sliding_window(void **state)
{
    (void)state;
    check_llama_layer(false, 9);
}

static void attention_and_mlp_side_by_side(void **state)
{
    (void)state;
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    config.parallel_residual = true;
    check_layer(&config, &layer, NULL);
    free_layer(&layer);
}

static void attention_and_mlp_side_by_side_behind_one_norm(void **state)
{
    (void)state;
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    free((void *)layer.post_attention_norm.weight);
    layer.post_attention_norm.weight = NULL;
    config.parallel_residual = true;
    config.norm = NORM_LAYER;
    check_layer(&config, &layer, NULL);
    free_layer(&layer);
}

static void a_factor_on_what_is_added(void **state)
{
    (void)state;
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    config.residual_scale = 0.25F;
    check_layer(&config, &layer, NULL);
    free_layer(&layer);
}

static void a_norm_of_its_own_for_every_head(void **state)
{
    enum { STRIDE = HEAD_DIM + 3 };
    (void)state;
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    float *query = uniform_floats(HEADS * STRIDE, 1.0F, 60),
          *key = uniform_floats(KV_HEADS * STRIDE, 1.0F, 61);
    config.norm = NORM_LAYER;
    layer.query_norm = (struct norm){.weight = query, .head_stride = STRIDE};
    layer.key_norm = (struct norm){.weight = key, .head_stride = STRIDE};
    check_layer(&config, &layer, NULL);
    free(query);
    free(key);
    free_layer(&layer);
}

static void norms_after_each_addition(void **state)
{
    (void)state;
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    config.norm_after = true;
    check_layer(&config, &layer, NULL);
    free_layer(&layer);
}

static void norms_of_heads_and_of_what_is_added(void **state)
{
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    float *weights[4];

    for (size_t i = 0; i < 4; i++)
        weights[i] = uniform_floats(HIDDEN > HEAD_DIM ? HIDDEN : HEAD_DIM, 1.0F, 60 + i);
    layer.query_norm.weight = weights[0];
    layer.key_norm.weight = weights[1];
    layer.attention_output_norm.weight = weights[2];
    layer.output_norm.weight = weights[3];
    check_layer(&config, &layer, NULL);
    for (size_t i = 0; i < 4; i++)
        free(weights[i]);
    free_layer(&layer);
}

// The layer with norms of query and key, [HEADS * HEAD_DIM] and [KV_HEADS * HEAD_DIM] numbers.
static void check_query_key_norms(const struct decoder_config *config)
{
    struct decoder_layer layer = random_layer(true);
    float *query = uniform_floats(QUERY, 1.0F, 60), *key = uniform_floats(KEY_VALUE, 1.0F, 61);
    layer.query_norm.weight = query;
    layer.key_norm.weight = key;
    check_layer(config, &layer, NULL);
    free(query);
    free(key);
    free_layer(&layer);
}

static void norms_of_whole_queries_and_keys(void **state)
{
    struct decoder_config config = small_config();
    (void)state;
    config.query_key_norm = QUERY_KEY_WHOLE;
    check_query_key_norms(&config);
}

static void norms_after_rotary_embedding(void **state)
{
    struct decoder_config config = small_config();
    (void)state;
    config.rotary_before_norm = true;
    check_query_key_norms(&config);
    config.query_key_norm = QUERY_KEY_WHOLE;
    check_query_key_norms(&config);
}

static void rotary_embedding_of_neighbours_and_none(void **state)
{
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    (void)state;
    config.interleaved_rotary = true;
    check_layer(&config, &layer, NULL);
    layer.no_rotary = true;
    check_layer(&config, &layer, NULL);
    free_layer(&layer);
}

static void clipped_queries_keys_and_values(void **state)
{
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    (void)state;
    config.clip_qkv = 0.3F;
    check_layer(&config, &layer, NULL);
    free_layer(&layer);
}

static void queries_scaled_by_their_position(void **state)
{
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    float query_scale[TOKENS];
    (void)state;
    for (size_t t = 0; t < TOKENS; t++)
        query_scale[t] = 1.0F + 0.01F * (float)t;
    check_layer(&config, &layer, query_scale);
    check_tree(&config, &layer, query_scale);
    free_layer(&layer);
}

static void a_layer_whose_norms_stand_on_its_outputs_alone(void **state)
{
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    const struct norm input = layer.input_norm, inner = layer.post_attention_norm;
    (void)state;
    layer.attention_output_norm = input;
    layer.output_norm = inner;
    layer.input_norm = layer.post_attention_norm = (struct norm){0};
    check_layer(&config, &layer, NULL);
    layer.input_norm = layer.post_attention_norm = (struct norm){.plain = true};
    check_layer(&config, &layer, NULL);
    layer.input_norm = input;
    layer.post_attention_norm = inner;
    free_layer(&layer);
}

static void an_mlp_without_a_gate(void **state)
{
    const float alpha_p = 0.3F, alpha_n = -0.4F, beta = 0.5F, epsilon = -1e-6F;
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    const struct linear gate = layer.gate;
    (void)state;
    layer.gate = (struct linear){0};
    config.activation = ACTIVATION_RELU_SQUARED;
    check_layer(&config, &layer, NULL);
    config.activation = ACTIVATION_XIELU;
    layer.xielu = (struct xielu){&alpha_p, &alpha_n, &beta, &epsilon};
    check_layer(&config, &layer, NULL);
    layer.gate = gate;
    free_layer(&layer);
}

static void a_norm_that_changes_the_residual_stream(void **state)
{
    (void)state;
    // norm(x) + attention(norm(x)): the same as the layer without norms, on what is normed before.
    struct decoder_config config = small_config(), plain = config;
    struct decoder_layer layer = random_layer(true), bare = layer;
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50),
          *expected = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    config.norm_in_residual = true;
    const float *second = layer.post_attention_norm.weight;
    layer.post_attention_norm.weight = NULL; // one at a time
    bare.input_norm.weight = bare.post_attention_norm.weight = NULL;
    norm_forward(expected, expected, TOKENS, HIDDEN, &layer.input_norm, config.norm, config.norm_epsilon);
    run_layer(expected, &plain, &bare, NULL, NULL);
    run_layer(hidden, &config, &layer, NULL, NULL);
    assert_memory_equal(hidden, expected, TOKENS * HIDDEN * sizeof *hidden);
    layer.post_attention_norm.weight = second;
    free(hidden);
    free(expected);
    free_layer(&layer);
}

static void a_scale_of_attention_of_the_layers_own(void **state)
{
    (void)state;
    struct decoder_config config = small_config(), other = config;
    struct decoder_layer layer = random_layer(false), own = layer;
    other.attention_scale = own.attention_scale = 0.11F;
    assert_same_output(&other, &layer, &config, &own);
    free_layer(&layer);
}

static void heads_with_gates(void **state)
{
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    (void)state;
    config.gated_attention = true;
    free_linear(&layer.q);
    layer.q = random_linear(2 * QUERY, HIDDEN, true, 3);
    check_layer(&config, &layer, NULL);
    check_tree(&config, &layer, NULL);
    free_layer(&layer);
}

static void keys_are_values_and_the_output_has_a_scale(void **state)
{
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    const float scale = 0.7F;
    (void)state;
    layer.key_norm = random_norm(70); // of which the values see nothing
    layer.value_norm.plain = true;
    layer.output_scale = &scale;
    check_layer(&config, &layer, NULL);
    free_linear(&layer.v);
    layer.v = (struct linear){0};
    check_layer(&config, &layer, NULL);
    check_tree(&config, &layer, NULL);
    free((void *)layer.key_norm.weight);
    free_layer(&layer);
}

static void a_layer_may_have_heads_of_its_own(void **state)
{
    const struct decoder_config config = small_config();
    struct decoder_config largest = config;
    struct decoder_layer layer = random_layer(true), own = layer;
    (void)state;
    largest.head_dim = largest.rotary_dim = 3 * HEAD_DIM;
    largest.num_key_value_heads = HEADS;
    own.heads = (struct head_sizes){KV_HEADS, HEAD_DIM, HEAD_DIM};
    assert_same_output(&config, &layer, &largest, &own);
    free_layer(&layer);
}

// Its numbers: test_linear_attention.c.
static void a_layer_with_linear_attention(void **state)
{
    enum { KEYS = 2, VALUES = 4, KEY_DIM = 6, VALUE_DIM = 5, TAPS = 3, V = VALUES * VALUE_DIM };
    enum { MIXED = 2 * KEYS * KEY_DIM + V };
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    struct linear_attention *linear = &layer.linear_attention;
    const struct token_tree sequence = {TOKENS, 0, NULL};
    static float x[TOKENS * HIDDEN], mixed[TOKENS * V];
    static struct decoder_trace trace;
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    (void)state;

    // Given a layer whose own attention is not there
    config.linear_attention = (struct linear_attention_config){
        .num_key_heads = KEYS,
        .num_value_heads = VALUES,
        .key_head_dim = KEY_DIM,
        .value_head_dim = VALUE_DIM,
        .taps = TAPS,
        .norm_epsilon = 1e-3F,
    };
    *linear = (struct linear_attention){.qkvz = random_linear(MIXED + V, HIDDEN, false, 60),
                                        .ba = random_linear(2 * VALUES, HIDDEN, false, 61),
                                        .convolution = uniform_floats(MIXED * TAPS, 1.0F, 62),
                                        .a_log = uniform_floats(VALUES, 2.0F, 63),
                                        .dt_bias = uniform_floats(VALUES, 2.0F, 64),
                                        .norm = {.weight = uniform_floats(VALUE_DIM, 1.0F, 65)},
                                        .out = random_linear(HIDDEN, V, false, 66)};

    // When its sublayers are put together by hand
    naive_norm(x, hidden, TOKENS, HIDDEN, &layer.input_norm, config.norm, (double)config.norm_epsilon);
    float *workspace =
        uniform_floats(linear_attention_workspace_size(&config.linear_attention, TOKENS), 1, 1);
    linear_attention_forward(mixed, linear, &config.linear_attention, x, &sequence, workspace);
    naive_linear(x, mixed, linear->out.weight, NULL, TOKENS, HIDDEN, V);
    for (size_t i = 0; i < TOKENS * HIDDEN; i++)
        trace.hidden[i] = hidden[i] + x[i];
    naive_norm(trace.mlp, trace.hidden, TOKENS, HIDDEN, &layer.post_attention_norm, config.norm,
               (double)config.norm_epsilon);
    naive_decoder_mlp(x, &trace, &config, &layer);
    for (size_t i = 0; i < TOKENS * HIDDEN; i++)
        trace.hidden[i] += x[i];

    // Then that is what the layer computes, in trees too
    run_layer(hidden, &config, &layer, NULL, NULL);
    assert_close(largest_difference(hidden, trace.hidden, TOKENS * HIDDEN), 0.0, DECODER_TOLERANCE);
    check_tree(&config, &layer, NULL);
    free(workspace);
    free(hidden);
    free_linear(&linear->qkvz);
    free_linear(&linear->ba);
    free_linear(&linear->out);
    free((void *)linear->convolution);
    free((void *)linear->a_log);
    free((void *)linear->dt_bias);
    free((void *)linear->norm.weight);
    free_layer(&layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_llama_layer),
        cmocka_unit_test(a_layer_with_biases),
        cmocka_unit_test(a_layer_with_a_sliding_window),
        cmocka_unit_test(attention_and_mlp_side_by_side),
        cmocka_unit_test(attention_and_mlp_side_by_side_behind_one_norm),
        cmocka_unit_test(a_factor_on_what_is_added),
        cmocka_unit_test(a_norm_of_its_own_for_every_head),
        cmocka_unit_test(norms_after_each_addition),
        cmocka_unit_test(norms_of_heads_and_of_what_is_added),
        cmocka_unit_test(norms_of_whole_queries_and_keys),
        cmocka_unit_test(norms_after_rotary_embedding),
        cmocka_unit_test(rotary_embedding_of_neighbours_and_none),
        cmocka_unit_test(clipped_queries_keys_and_values),
        cmocka_unit_test(queries_scaled_by_their_position),
        cmocka_unit_test(a_layer_whose_norms_stand_on_its_outputs_alone),
        cmocka_unit_test(an_mlp_without_a_gate),
        cmocka_unit_test(a_norm_that_changes_the_residual_stream),
        cmocka_unit_test(a_scale_of_attention_of_the_layers_own),
        cmocka_unit_test(heads_with_gates),
        cmocka_unit_test(keys_are_values_and_the_output_has_a_scale),
        cmocka_unit_test(a_layer_may_have_heads_of_its_own),
        cmocka_unit_test(a_layer_with_linear_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
