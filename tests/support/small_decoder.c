#include "tests/support/small_decoder.h"

#include "kernels/blas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct decoder_config small_config(void)
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

struct norm random_norm(uint64_t seed)
{
    return (struct norm){.weight = uniform_floats(HIDDEN, 1.0F, seed)};
}

struct linear random_linear(size_t out, size_t in, bool bias, uint64_t seed)
{
    return (struct linear){.out = out,
                           .in = in,
                           .weight = uniform_floats(out * in, 0.4F, seed),
                           .bias = bias ? uniform_floats(out, 0.4F, seed + 100) : NULL};
}

void free_linear(struct linear *linear)
{
    free((void *)linear->weight);
    free((void *)linear->bias);
    *linear = (struct linear){0};
}

struct decoder_layer random_layer(bool bias)
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

void free_layer(struct decoder_layer *layer)
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

struct rotary_table small_rotary(const float *query_scale)
{
    float frequencies[HEAD_DIM / 2];
    const size_t pairs = HEAD_DIM / 2;
    float *cosine = uniform_floats(TOKENS * pairs, 1.0F, 0), *sine = uniform_floats(TOKENS * pairs, 1.0F, 0);
    for (size_t i = 0; i < pairs; i++)
        frequencies[i] = (float)pow(10000.0, -2.0 * (double)i / HEAD_DIM);
    rotary_angles(cosine, sine, frequencies, pairs, TOKENS, 1.0F);
    return (struct rotary_table){
        .tokens = TOKENS, .cosine = cosine, .sine = sine, .query_scale = query_scale};
}

void free_rotary(struct rotary_table *rotary)
{
    free((void *)rotary->cosine);
    free((void *)rotary->sine);
}

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
static void naive_attend(float *delta, struct decoder_trace *trace, const struct decoder_config *config,
                         const struct decoder_layer *layer, const float *query_scale)
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
    for (size_t i = 0; i < TOKENS * QUERY && query_scale != NULL; i++)
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
void naive_decoder_mlp(float *delta, struct decoder_trace *trace, const struct decoder_config *config,
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
void naive_decoder_layer(struct decoder_trace *trace, const struct decoder_config *config,
                         const struct decoder_layer *layer, const float *hidden, const float *query_scale)
{
    static float attention[TOKENS * HIDDEN], mlp[TOKENS * HIDDEN];
    const struct norm *second =
        layer->post_attention_norm.weight != NULL ? &layer->post_attention_norm : &layer->input_norm;
    const float scale = config->residual_scale != 0.0F ? config->residual_scale : 1.0F;

    memcpy(trace->attention, hidden, sizeof trace->attention);
    if (!config->norm_after)
        norm_if_there(trace->attention, TOKENS, HIDDEN, &layer->input_norm, config);
    naive_attend(attention, trace, config, layer, query_scale);
    for (size_t i = 0; i < TOKENS * HIDDEN; i++)
        trace->hidden[i] = hidden[i] + scale * attention[i];
    if (config->norm_after)
        norm_if_there(trace->hidden, TOKENS, HIDDEN, &layer->input_norm, config);
    memcpy(trace->mlp, config->parallel_residual ? hidden : trace->hidden, sizeof trace->mlp);
    if (!config->norm_after)
        norm_if_there(trace->mlp, TOKENS, HIDDEN, second, config);
    naive_decoder_mlp(mlp, trace, config, layer);
    for (size_t i = 0; i < TOKENS * HIDDEN; i++)
        trace->hidden[i] += scale * mlp[i];
    if (config->norm_after)
        norm_if_there(trace->hidden, TOKENS, HIDDEN, &layer->post_attention_norm, config);
    for (size_t i = 0; i < TOKENS * HIDDEN && layer->output_scale != NULL; i++)
        trace->hidden[i] *= *layer->output_scale;
}

void run_layer(float *hidden, const struct decoder_config *config, const struct decoder_layer *layer,
               const struct decoder_observer *observer, const float *query_scale)
{
    struct rotary_table rotary = small_rotary(query_scale);
    float *workspace = uniform_floats(decoder_workspace_size(config, TOKENS), 1e30F, 1);
    decoder_layer_forward(config, layer, &rotary, hidden, TOKENS, workspace, observer);
    free(workspace);
    free_rotary(&rotary);
}

void check_layer(const struct decoder_config *config, const struct decoder_layer *layer,
                 const float *query_scale)
{
    static struct decoder_trace trace;
    float *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    naive_decoder_layer(&trace, config, layer, hidden, query_scale);
    run_layer(hidden, config, layer, NULL, query_scale);
    assert_close(largest_difference(hidden, trace.hidden, TOKENS * HIDDEN), 0.0, DECODER_TOLERANCE);
    free(hidden);
}

// Every sequence of the tree alone, compared with the tree in one pass.
void check_tree(const struct decoder_config *config, const struct decoder_layer *layer,
                const float *query_scale)
{
    static const size_t branches[] = {5, 0, 17, 1, 5};
    const struct token_tree tree = {40, 5, branches};
    struct rotary_table rotary = small_rotary(query_scale);
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

void assert_same_output(const struct decoder_config *config, const struct decoder_layer *layer,
                        const struct decoder_config *other_config, const struct decoder_layer *other)
{
    float *expected = uniform_floats(TOKENS * HIDDEN, 1.0F, 50),
          *hidden = uniform_floats(TOKENS * HIDDEN, 1.0F, 50);
    run_layer(expected, config, layer, NULL, NULL);
    run_layer(hidden, other_config, other, NULL, NULL);
    if (blas_keeps_bits())
        assert_memory_equal(hidden, expected, TOKENS * HIDDEN * sizeof *hidden);
    else
        assert_true(largest_difference(hidden, expected, TOKENS * HIDDEN) < 1e-5);
    free(expected);
    free(hidden);
}
