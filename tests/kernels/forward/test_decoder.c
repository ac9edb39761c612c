// One decoder layer against the same layer written with the plain loops, and its promises about bits and
// memory.
#include "kernels/forward/decoder.h"
#include "tests/support/naive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void bli_thread_set_num_threads(
    int64_t threads); // of BLIS, whose own header does not compile without warnings

enum { TOKENS = 150, HIDDEN = 24, HEADS = 6, KV_HEADS = 2, HEAD_DIM = 8, INTERMEDIATE = 40 };
enum { QUERY = HEADS * HEAD_DIM, KEY_VALUE = KV_HEADS * HEAD_DIM };

static struct decoder_config small_config(void)
{
    return (struct decoder_config){.hidden_size = HIDDEN,
                                   .intermediate_size = INTERMEDIATE,
                                   .num_attention_heads = HEADS,
                                   .num_key_value_heads = KV_HEADS,
                                   .head_dim = HEAD_DIM,
                                   .rotary_dim = HEAD_DIM,
                                   .norm = NORM_RMS,
                                   .norm_epsilon = 1e-5F,
                                   .activation = ACTIVATION_SILU,
                                   .attention_scale = 0.35F};
}

static struct norm random_norm(uint64_t seed)
{
    return (struct norm){.weight = uniform_floats(HIDDEN, 1.0F, seed)};
}

static struct linear random_linear(size_t out, size_t in, bool bias, uint64_t seed)
{
    return (struct linear){.out = out,
                           .in = in,
                           .weight = uniform_floats(out * in, 0.4F, seed),
                           .bias = bias ? uniform_floats(out, 0.4F, seed + 100) : NULL};
}

static struct decoder_layer random_layer(bool bias)
{
    return (struct decoder_layer){.input_norm = random_norm(1),
                                  .post_attention_norm = random_norm(2),
                                  .q = random_linear(QUERY, HIDDEN, bias, 3),
                                  .k = random_linear(KEY_VALUE, HIDDEN, bias, 4),
                                  .v = random_linear(KEY_VALUE, HIDDEN, bias, 5),
                                  .o = random_linear(HIDDEN, QUERY, bias, 6),
                                  .gate = random_linear(INTERMEDIATE, HIDDEN, bias, 7),
                                  .up = random_linear(INTERMEDIATE, HIDDEN, bias, 8),
                                  .down = random_linear(HIDDEN, INTERMEDIATE, bias, 9)};
}

static void free_layer(struct decoder_layer *layer)
{
    const struct linear *linears[] = {&layer->q,    &layer->k,  &layer->v,   &layer->o,
                                      &layer->gate, &layer->up, &layer->down};
    for (size_t i = 0; i < sizeof linears / sizeof linears[0]; i++) {
        free((void *)linears[i]->weight);
        free((void *)linears[i]->bias);
    }
    free((void *)layer->input_norm.weight);
    free((void *)layer->post_attention_norm.weight);
}

// Factors on the queries of the tests that set scales_queries.
static float query_scale[TOKENS];
static bool scales_queries;

static struct rotary_table small_rotary(void)
{
    float frequencies[HEAD_DIM / 2];
    const size_t pairs = HEAD_DIM / 2;
    float *cosine = uniform_floats(TOKENS * pairs, 1.0F, 0), *sine = uniform_floats(TOKENS * pairs, 1.0F, 0);
    for (size_t i = 0; i < pairs; i++)
        frequencies[i] = (float)pow(10000.0, -2.0 * (double)i / HEAD_DIM);
    rotary_angles(cosine, sine, frequencies, pairs, TOKENS, 1.0F);
    return (struct rotary_table){
        .tokens = TOKENS, .cosine = cosine, .sine = sine, .query_scale = scales_queries ? query_scale : NULL};
}

static void free_rotary(struct rotary_table *rotary)
{
    free((void *)rotary->cosine);
    free((void *)rotary->sine);
}

// The four inputs of a layer's linears, and its output.
struct trace {
    float attention[TOKENS * HIDDEN], output[TOKENS * QUERY], mlp[TOKENS * HIDDEN],
        down[TOKENS * INTERMEDIATE];
    float hidden[TOKENS * HIDDEN];
};

static void apply(float *out, const struct linear *linear, const float *x)
{
    naive_linear(out, x, linear->weight, linear->bias, TOKENS, linear->out, linear->in);
}

// Of heads[rows, size], each with its own weight if the norm has several, in place and if the layer has it.
static void norm_heads_if_there(float *x, size_t heads, const struct norm *norm,
                                const struct decoder_config *config)
{
    for (size_t i = 0; i < TOKENS * heads && norm->weight != NULL; i++) {
        const struct norm own = {.weight = norm->weight + i % heads * norm->head_stride, .bias = norm->bias};
        naive_norm(x + i * HEAD_DIM, x + i * HEAD_DIM, 1, HEAD_DIM, &own, config->norm,
                   (double)config->norm_epsilon);
    }
}

// In place, if the layer has the norm.
static void norm_if_there(float *x, size_t rows, size_t size, const struct norm *norm,
                          const struct decoder_config *config)
{
    if (norm->weight != NULL || norm->plain)
        naive_norm(x, x, rows, size, norm, config->norm, (double)config->norm_epsilon);
}

static void naive_clip(float *x, size_t n, const struct decoder_config *config)
{
    for (size_t i = 0; i < n && config->clip_qkv != 0.0F; i++)
        x[i] = fminf(fmaxf(x[i], -config->clip_qkv), config->clip_qkv);
}

// x[TOKENS, heads, HEAD_DIM]
static void naive_query_key_norm(float *x, size_t heads, const struct norm *norm,
                                 const struct decoder_config *config)
{
    if (config->query_key_norm == QUERY_KEY_WHOLE)
        norm_if_there(x, TOKENS, heads * HEAD_DIM, norm, config);
    else
        norm_heads_if_there(x, heads, norm, config);
}

static void naive_position(float *x, size_t heads, const struct norm *norm,
                           const struct decoder_config *config, const struct decoder_layer *layer)
{
    if (!config->rotary_before_norm)
        naive_query_key_norm(x, heads, norm, config);
    if (!layer->no_rotary)
        (config->interleaved_rotary ? naive_rotary_interleaved : naive_rotary)(x, TOKENS, heads, HEAD_DIM,
                                                                               HEAD_DIM, 10000.0);
    if (config->rotary_before_norm)
        naive_query_key_norm(x, heads, norm, config);
}

// delta[TOKENS, HIDDEN] <- attention of trace->attention.
static void naive_attend(float *delta, struct trace *trace, const struct decoder_config *config,
                         const struct decoder_layer *layer)
{
    static float q[TOKENS * QUERY], k[TOKENS * KEY_VALUE], v[TOKENS * KEY_VALUE];
    static float with_gates[TOKENS * 2 * QUERY];

    apply(config->gated_attention ? with_gates : q, &layer->q, trace->attention);
    for (size_t i = 0; i < TOKENS * QUERY && config->gated_attention; i++)
        q[i] = with_gates[i / HEAD_DIM * 2 * HEAD_DIM + i % HEAD_DIM];
    apply(k, &layer->k, trace->attention);
    apply(v, layer->v.weight != NULL ? &layer->v : &layer->k, trace->attention);
    naive_clip(q, TOKENS * QUERY, config);
    naive_clip(k, TOKENS * KEY_VALUE, config);
    naive_clip(v, TOKENS * KEY_VALUE, config);
    naive_position(q, HEADS, &layer->query_norm, config, layer);
    naive_position(k, KV_HEADS, &layer->key_norm, config, layer);
    for (size_t i = 0; i < TOKENS * KV_HEADS && layer->value_norm.plain; i++) {
        float ones[HEAD_DIM];
        for (size_t c = 0; c < HEAD_DIM; c++)
            ones[c] = 1;
        naive_norm(v + i * HEAD_DIM, v + i * HEAD_DIM, 1, HEAD_DIM, &(struct norm){.weight = ones},
                   config->norm, (double)config->norm_epsilon);
    }
    for (size_t i = 0; i < TOKENS * QUERY && scales_queries; i++)
        q[i] *= query_scale[i / QUERY];
    const struct naive_heads heads = {.tokens = TOKENS,
                                      .heads = HEADS,
                                      .kv_heads = KV_HEADS,
                                      .head_dim = HEAD_DIM,
                                      .window = layer->sliding_window,
                                      .scale = (double)config->attention_scale};
    naive_attention(trace->output, q, k, v, &heads);
    for (size_t i = 0; i < TOKENS * QUERY && config->gated_attention; i++) {
        const double gate = (double)with_gates[i / HEAD_DIM * 2 * HEAD_DIM + HEAD_DIM + i % HEAD_DIM];
        trace->output[i] = (float)((double)trace->output[i] / (1 + exp(-gate)));
    }
    apply(delta, &layer->o, trace->output);
    norm_if_there(delta, TOKENS, HIDDEN, &layer->attention_output_norm, config);
}

// delta[TOKENS, HIDDEN] <- the MLP of trace->mlp.
static void naive_mlp(float *delta, struct trace *trace, const struct decoder_config *config,
                      const struct decoder_layer *layer)
{
    static float gate[TOKENS * INTERMEDIATE], up[TOKENS * INTERMEDIATE];

    if (layer->gate.weight != NULL)
        apply(gate, &layer->gate, trace->mlp);
    apply(up, &layer->up, trace->mlp);
    for (size_t i = 0; i < TOKENS * INTERMEDIATE; i++) {
        const double x = (double)(layer->gate.weight != NULL ? gate : up)[i];
        const double y = config->activation == ACTIVATION_XIELU ? naive_xielu(x, &layer->xielu)
                                                                : naive_activation(x, config->activation);
        trace->down[i] = (float)(layer->gate.weight != NULL ? y * (double)up[i] : y);
    }
    apply(delta, &layer->down, trace->down);
    norm_if_there(delta, TOKENS, HIDDEN, &layer->output_norm, config);
}

// LLaMA's pre-norm layer: x = hidden + attention(norm(hidden)), then x + mlp(norm(x)). With parallel_residual
// the MLP reads norm(hidden) too, of its own norm or, without one, attention's; with norm_after nothing is
// normed before, but each sum after the addition.
static void naive_layer(struct trace *trace, const struct decoder_config *config,
                        const struct decoder_layer *layer, const float *hidden)
{
    static float attention[TOKENS * HIDDEN], mlp[TOKENS * HIDDEN];
    const struct norm *second =
        layer->post_attention_norm.weight != NULL ? &layer->post_attention_norm : &layer->input_norm;
    const float scale = config->residual_scale != 0.0F ? config->residual_scale : 1.0F;

    memcpy(trace->attention, hidden, sizeof trace->attention);
    if (!config->norm_after)
        norm_if_there(trace->attention, TOKENS, HIDDEN, &layer->input_norm, config);
    naive_attend(attention, trace, config, layer);
    for (size_t i = 0; i < TOKENS * HIDDEN; i++)
        trace->hidden[i] = hidden[i] + scale * attention[i];
    if (config->norm_after)
        norm_if_there(trace->hidden, TOKENS, HIDDEN, &layer->input_norm, config);
    memcpy(trace->mlp, config->parallel_residual ? hidden : trace->hidden, sizeof trace->mlp);
    if (!config->norm_after)
        norm_if_there(trace->mlp, TOKENS, HIDDEN, second, config);
    naive_mlp(mlp, trace, config, layer);
    for (size_t i = 0; i < TOKENS * HIDDEN; i++)
        trace->hidden[i] += scale * mlp[i];
    if (config->norm_after)
        norm_if_there(trace->hidden, TOKENS, HIDDEN, &layer->post_attention_norm, config);
    for (size_t i = 0; i < TOKENS * HIDDEN && layer->output_scale != NULL; i++)
        trace->hidden[i] *= *layer->output_scale;
}

static void run_layer(float *hidden, const struct decoder_config *config, const struct decoder_layer *layer,
                      const struct decoder_observer *observer)
{
    struct rotary_table rotary = small_rotary();
    float *workspace = uniform_floats(decoder_workspace_size(config, TOKENS), 1e30F, 1);
    decoder_layer_forward(config, layer, &rotary, hidden, TOKENS, workspace, observer);
    free(workspace);
    free_rotary(&rotary);
}

// Everything stays below 10, through sums of up to 48 products and a softmax: about a hundred roundings of
// 2^-24.
static const double tolerance = 5e-5;

static void check(const struct decoder_config *config, const struct decoder_layer *layer)
{
    static struct trace trace;
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    naive_layer(&trace, config, layer, hidden);
    run_layer(hidden, config, layer, NULL);
    assert_close(largest_difference(hidden, trace.hidden, TOKENS * HIDDEN), 0.0, tolerance);
    free(hidden);
}

// Every sequence of the tree alone, compared with the tree in one pass.
static void check_tree(const struct decoder_config *config, const struct decoder_layer *layer)
{
    static const size_t branches[] = {5, 0, 17, 1, 5};
    const struct token_tree tree = {40, 5, branches};
    struct rotary_table rotary = small_rotary();
    const size_t size = 40 + 28, depth = 40 + 17; // tokens of all branches, of the longest
    float *row = uniform_floats(size * HIDDEN, 1.0F, 50), *start = uniform_floats(size * HIDDEN, 1.0F, 50);
    float *alone = uniform_floats(depth * HIDDEN, 1.0F, 51);
    float *workspace = uniform_floats(decoder_workspace_size(config, size), 1.0F, 52);
    size_t first = tree.prefix;

    decoder_layer_forward_tree(config, layer, &rotary, row, &tree, workspace);
    for (size_t b = 0; b < tree.num_branches; b++) {
        memcpy(alone, start, tree.prefix * HIDDEN * sizeof *alone);
        memcpy(alone + tree.prefix * HIDDEN, start + first * HIDDEN, branches[b] * HIDDEN * sizeof *alone);
        decoder_layer_forward(config, layer, &rotary, alone, tree.prefix + branches[b], workspace, NULL);
        // Sums of attention are split at the prefix: a rounding or two of values up to 10.
        assert_true(largest_difference(row, alone, tree.prefix * HIDDEN) < 1e-5);
        assert_true(largest_difference(row + first * HIDDEN, alone + tree.prefix * HIDDEN,
                                       branches[b] * HIDDEN) < 1e-5);
        first += branches[b];
    }
    free(row);
    free(start);
    free(alone);
    free(workspace);
    free_rotary(&rotary);
}

static void check_layer(bool bias, size_t window)
{
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(bias);
    layer.sliding_window = window;
    check(&config, &layer);
    free_layer(&layer);
}

static void a_llama_layer(void **state)
{
    (void)state;
    check_layer(false, 0);
}

static void a_layer_with_biases(void **state)
{
    (void)state;
    check_layer(true, 0);
}

static void a_layer_with_a_sliding_window(void **state)
{
    (void)state;
    check_layer(false, 9);
}

static void attention_and_mlp_side_by_side(void **state)
{
    (void)state;
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    config.parallel_residual = true;
    check(&config, &layer);
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
    check(&config, &layer);
    free_layer(&layer);
}

static void a_factor_on_what_is_added(void **state)
{
    (void)state;
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    config.residual_scale = 0.25F;
    check(&config, &layer);
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
    check(&config, &layer);
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
    check(&config, &layer);
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
    check(&config, &layer);
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
    check(config, &layer);
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
    check(&config, &layer);
    layer.no_rotary = true;
    check(&config, &layer);
    free_layer(&layer);
}

static void clipped_queries_keys_and_values(void **state)
{
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    (void)state;
    config.clip_qkv = 0.3F;
    check(&config, &layer);
    free_layer(&layer);
}

static void queries_scaled_by_their_position(void **state)
{
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    (void)state;
    for (size_t t = 0; t < TOKENS; t++)
        query_scale[t] = 1.0F + 0.01F * (float)t;
    scales_queries = true;
    check(&config, &layer);
    check_tree(&config, &layer);
    scales_queries = false;
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
    check(&config, &layer);
    layer.input_norm = layer.post_attention_norm = (struct norm){.plain = true};
    check(&config, &layer);
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
    check(&config, &layer);
    config.activation = ACTIVATION_XIELU;
    layer.xielu = (struct xielu){&alpha_p, &alpha_n, &beta, &epsilon};
    check(&config, &layer);
    layer.gate = gate;
    free_layer(&layer);
}

struct seen {
    const struct trace *trace;
    size_t calls;
};

static void look(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    struct seen *seen = context;
    const float *expected[] = {seen->trace->attention, seen->trace->output, seen->trace->mlp,
                               seen->trace->down};
    const size_t sizes[] = {HIDDEN, QUERY, HIDDEN, INTERMEDIATE};
    assert_int_equal(source, seen->calls++); // in order, each once
    assert_int_equal(tokens, TOKENS);
    assert_int_equal(channels, sizes[source]);
    assert_close(largest_difference(x, expected[source], tokens * channels), 0.0, tolerance);
}

static void the_observer_sees_the_input_of_every_linear_once(void **state)
{
    static struct trace trace;
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    naive_layer(&trace, &config, &layer, hidden);
    struct seen seen = {.trace = &trace};
    run_layer(hidden, &config, &layer, &(struct decoder_observer){.context = &seen, .input = look});
    assert_int_equal(seen.calls, 4);
    free(hidden);
    free_layer(&layer);
}

static void an_observer_that_has_seen_enough_ends_the_pass(void **state)
{
    static struct trace trace;
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    naive_layer(&trace, &config, &layer, hidden);
    for (size_t last = 0; last < 4; last++) {
        struct seen seen = {.trace = &trace};
        float *copy = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
        run_layer(copy, &config, &layer,
                  &(struct decoder_observer){.context = &seen, .input = look, .stops = true, .last = last});
        assert_int_equal(seen.calls, last + 1);
        free(copy);
    }
    free(hidden);
    free_layer(&layer);
}

static void bits_are_the_same_for_one_and_two_threads(void **state)
{
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    float *one = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    bli_thread_set_num_threads(1);
    run_layer(one, &config, &layer, NULL);
    float *two = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    bli_thread_set_num_threads(2);
    run_layer(two, &config, &layer, NULL);
    assert_memory_equal(one, two, TOKENS * HIDDEN * sizeof *one);
    free(two);
    bli_thread_set_num_threads(1);
    free(one);
    free_layer(&layer);
}

static void an_mlp_wider_than_a_slab(void **state)
{
    (void)state;
    enum { WIDE = 2500, FEW = 3 };
    struct decoder_config config = small_config();
    config.intermediate_size = WIDE;
    struct decoder_layer layer = random_layer(false);
    struct linear *mlp[] = {&layer.gate, &layer.up, &layer.down};
    for (size_t i = 0; i < 3; i++)
        free((void *)mlp[i]->weight);
    layer.gate = random_linear(WIDE, HIDDEN, true, 7);
    layer.up = random_linear(WIDE, HIDDEN, true, 8);
    layer.down = random_linear(HIDDEN, WIDE, false, 9);
    memset((void *)layer.o.weight, 0, sizeof(float) * HIDDEN * QUERY); // the MLP alone

    float *hidden = uniform_floats(FEW * HIDDEN, 1.0F, 50),
          *expected = uniform_floats(FEW * HIDDEN, 1.0F, 50);
    float *x = uniform_floats(FEW * HIDDEN, 1, 0), *delta = uniform_floats(FEW * HIDDEN, 1, 0);
    float *gate = uniform_floats(FEW * WIDE, 1, 0), *up = uniform_floats(FEW * WIDE, 1, 0);
    naive_norm(x, expected, FEW, HIDDEN, &layer.post_attention_norm, NORM_RMS, 1e-5);
    naive_linear(gate, x, layer.gate.weight, layer.gate.bias, FEW, WIDE, HIDDEN);
    naive_linear(up, x, layer.up.weight, layer.up.bias, FEW, WIDE, HIDDEN);
    for (size_t i = 0; i < (size_t)FEW * WIDE; i++)
        gate[i] = (float)naive_activation((double)gate[i], ACTIVATION_SILU) * up[i];
    naive_linear(delta, gate, layer.down.weight, NULL, FEW, HIDDEN, WIDE);
    for (size_t i = 0; i < (size_t)FEW * HIDDEN; i++)
        expected[i] += delta[i];

    struct rotary_table rotary = small_rotary();
    float *workspace = uniform_floats(decoder_workspace_size(&config, FEW), 1.0F, 1);
    decoder_layer_forward(&config, &layer, &rotary, hidden, FEW, workspace, NULL);
    // 2500 products of up to 0.4 * 10 each.
    assert_close(largest_difference(hidden, expected, (size_t)FEW * HIDDEN), 0.0, 1e-3);
    free(workspace);
    free_rotary(&rotary);
    free(hidden);
    free(expected);
    free(x);
    free(delta);
    free(gate);
    free(up);
    free_layer(&layer);
}

static void the_workspace_is_used_no_further_than_it_says(void **state)
{
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    struct rotary_table rotary = small_rotary();
    const size_t size = decoder_workspace_size(&config, TOKENS), guard = 64;
    float *workspace = uniform_floats(size + guard, 1.0F, 1),
          *untouched = uniform_floats(size + guard, 1.0F, 1);
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    decoder_layer_forward(&config, &layer, &rotary, hidden, TOKENS, workspace, NULL);
    assert_memory_equal(workspace + size, untouched + size, guard * sizeof *workspace);
    free(workspace);
    free(untouched);
    free(hidden);
    free_rotary(&rotary);
    free_layer(&layer);
}

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

static void free_linear(struct linear *linear)
{
    free((void *)linear->weight);
    free((void *)linear->bias);
    *linear = (struct linear){0};
}

static void assert_same_output(const struct decoder_config *config, const struct decoder_layer *layer,
                               const struct decoder_config *other_config, const struct decoder_layer *other)
{
    float *expected = uniform_floats(TOKENS * HIDDEN, 1.0F, 50),
          *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    run_layer(expected, config, layer, NULL);
    run_layer(hidden, other_config, other, NULL);
    assert_memory_equal(hidden, expected, TOKENS * HIDDEN * sizeof *hidden);
    free(expected);
    free(hidden);
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
    run_layer(expected, &plain, &bare, NULL);
    run_layer(hidden, &config, &layer, NULL);
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

static void sequences_that_begin_alike_are_those_computed_alone(void **state)
{
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    (void)state;
    check_tree(&config, &layer);
    layer.sliding_window = 9;
    check_tree(&config, &layer);
    config.rotary_dim = 0;
    check_tree(&config, &layer);
    config.rotary_dim = HEAD_DIM;
    config.rotary_before_norm = true;
    layer.query_norm = layer.key_norm = (struct norm){.plain = true};
    check_tree(&config, &layer);
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
    check(&config, &layer);
    check_tree(&config, &layer);
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
    check(&config, &layer);
    free_linear(&layer.v);
    layer.v = (struct linear){0};
    check(&config, &layer);
    check_tree(&config, &layer);
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
    static struct trace trace;
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
    apply(x, &linear->out, mixed);
    for (size_t i = 0; i < TOKENS * HIDDEN; i++)
        trace.hidden[i] = hidden[i] + x[i];
    naive_norm(trace.mlp, trace.hidden, TOKENS, HIDDEN, &layer.post_attention_norm, config.norm,
               (double)config.norm_epsilon);
    naive_mlp(x, &trace, &config, &layer);
    for (size_t i = 0; i < TOKENS * HIDDEN; i++)
        trace.hidden[i] += x[i];

    // Then that is what the layer computes, in trees too
    run_layer(hidden, &config, &layer, NULL);
    assert_close(largest_difference(hidden, trace.hidden, TOKENS * HIDDEN), 0.0, tolerance);
    check_tree(&config, &layer);
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

static void a_layer_of_one_token(void **state)
{
    (void)state;
    const struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(true);
    struct rotary_table rotary = small_rotary();
    float *all = uniform_floats(TOKENS * HIDDEN, 1.0F, 50), *one = uniform_floats(HIDDEN, 1.0F, 50);
    float *workspace = uniform_floats(decoder_workspace_size(&config, TOKENS), 1.0F, 1);
    decoder_layer_forward(&config, &layer, &rotary, all, TOKENS, workspace, NULL);
    decoder_layer_forward(&config, &layer, &rotary, one, 1, workspace, NULL);
    assert_close(largest_difference(one, all, HIDDEN), 0.0, tolerance); // the first token sees itself alone
    decoder_layer_forward(&config, &layer, &rotary, one, 0, workspace, NULL); // and none is fine
    free(all);
    free(one);
    free(workspace);
    free_rotary(&rotary);
    free_layer(&layer);
}

static void note_source(void *context, size_t source, const float *x, size_t tokens, size_t channels)
{
    (void)x;
    (void)tokens;
    (void)channels;
    *(unsigned *)context |= 1U << source;
}

// The sources that a layer with three experts, all of them taken, reports: bit s for source s.
static unsigned sources_of_experts(bool shared, bool stops, size_t last)
{
    enum { EXPERTS = 3 };
    struct decoder_config config = small_config();
    struct decoder_layer layer = random_layer(false);
    config.num_experts = config.num_experts_per_tok = EXPERTS;
    config.moe_intermediate_size = INTERMEDIATE;
    config.shared_expert_intermediate_size = INTERMEDIATE;
    layer.router = random_linear(EXPERTS, HIDDEN, false, 20);
    layer.expert_gate = layer.gate; // experts of equal weights
    layer.expert_up = layer.up;
    layer.expert_down = layer.down;
    if (shared)
        layer.shared_expert_gate = random_linear(1, HIDDEN, false, 21);
    struct decoder_layer used = layer;
    if (!shared)
        used.gate = used.up = used.down = (struct linear){0};
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    unsigned sources = 0;
    run_layer(
        hidden, &config, &used,
        &(struct decoder_observer){.context = &sources, .input = note_source, .stops = stops, .last = last});
    free(hidden);
    free_linear(&layer.router);
    free_linear(&layer.shared_expert_gate);
    free_layer(&layer);
    return sources;
}

static void experts_have_sources_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(sources_of_experts(false, false, 0), 0xff); // attention's two, then two for each expert
    assert_int_equal(sources_of_experts(true, false, 0), 0x3ff); // the shared expert's two between them
}

static void a_pass_ends_within_the_experts_too(void **state)
{
    (void)state;
    assert_int_equal(sources_of_experts(false, true, SOURCE_ATTENTION_OUTPUT), 0x3);
    assert_int_equal(sources_of_experts(false, true, SOURCE_EXPERTS + 2), 0x1f);
    assert_int_equal(sources_of_experts(true, true, SOURCE_MLP_DOWN), 0xf);
    assert_int_equal(sources_of_experts(true, true, SOURCE_EXPERTS_BESIDE_SHARED + 1), 0x3f);
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
        cmocka_unit_test(the_observer_sees_the_input_of_every_linear_once),
        cmocka_unit_test(an_observer_that_has_seen_enough_ends_the_pass),
        cmocka_unit_test(bits_are_the_same_for_one_and_two_threads),
        cmocka_unit_test(an_mlp_wider_than_a_slab),
        cmocka_unit_test(the_workspace_is_used_no_further_than_it_says),
        cmocka_unit_test(fused_linears_give_the_bits_of_separate_ones),
        cmocka_unit_test(per_head_qkv_gives_the_bits_of_separate_linears),
        cmocka_unit_test(grouped_qkv_gives_the_bits_of_separate_linears),
        cmocka_unit_test(heads_begin_at_these_rows_of_a_fused_linear),
        cmocka_unit_test(a_norm_that_changes_the_residual_stream),
        cmocka_unit_test(a_scale_of_attention_of_the_layers_own),
        cmocka_unit_test(sequences_that_begin_alike_are_those_computed_alone),
        cmocka_unit_test(heads_with_gates),
        cmocka_unit_test(a_layer_with_linear_attention),
        cmocka_unit_test(keys_are_values_and_the_output_has_a_scale),
        cmocka_unit_test(a_layer_may_have_heads_of_its_own),
        cmocka_unit_test(a_layer_of_one_token),
        cmocka_unit_test(experts_have_sources_of_their_own),
        cmocka_unit_test(a_pass_ends_within_the_experts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
