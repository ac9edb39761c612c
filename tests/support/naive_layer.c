#include "tests/support/naive_layer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// As random_checkpoint.c writes them into config.json.
static const double norm_epsilon = 1e-5, rope_theta = 10000;
enum { EXPERTS_PER_TOKEN = 2 };

double *new_doubles(size_t count)
{
    double *x = calloc(count + 1, sizeof *x);
    assert_non_null(x);
    return x;
}

double *doubles_of(const float *x, size_t count)
{
    double *y = new_doubles(count);
    for (size_t i = 0; i < count; i++)
        y[i] = (double)x[i];
    return y;
}

// ---- the weights -----------------------------------------------------------------------------------------

// A tensor of the checkpoint as double.
static double *read_tensor(const struct small_model *small, const char *name)
{
    size_t shard;
    const struct safetensors_tensor *tensor = checkpoint_find(small->model->checkpoint, name, &shard);
    if (tensor == NULL)
        fail_msg("no tensor %s", name);
    const size_t count = (tensor->end - tensor->begin) / dtype_size(tensor->dtype);
    float *values = malloc(count * sizeof *values);
    assert_non_null(values);
    dtype_to_f32(values, tensor->data, tensor->dtype, count);
    double *result = doubles_of(values, count);
    free(values);
    return result;
}

static double *read_member(const struct small_model *small, size_t index, const char *member)
{
    char name[160];
    snprintf(name, sizeof name, "model.layers.%zu.%s.weight", index, member);
    return read_tensor(small, name);
}

static void add_linear(struct naive_layer *layer, const char *name, size_t out, size_t in)
{
    struct naive_linear *linear = &layer->linears[layer->num_linears++];
    *linear = (struct naive_linear){.out = out, .in = in};
    snprintf(linear->name, sizeof linear->name, "%s", name);
}

// gate, up and down, each named prefix and its own name.
static void add_mlp(struct naive_layer *layer, const char *prefix, const char *const names[3])
{
    for (size_t k = 0; k < 3; k++) {
        char name[64];
        snprintf(name, sizeof name, "%s.%s", prefix, names[k]);
        add_linear(layer, name, k < 2 ? layer->intermediate : layer->hidden,
                   k < 2 ? layer->hidden : layer->intermediate);
    }
}

void naive_layer_read(struct naive_layer *layer, const struct small_model *small, size_t index)
{
    static const char *const mlp[] = {"gate_proj", "up_proj", "down_proj"};
    static const char *const expert[] = {"w1", "w3", "w2"};
    const struct random_checkpoint *shape = &small->shape.checkpoint;
    const size_t head_dim = shape->hidden / shape->heads;

    *layer = (struct naive_layer){.hidden = shape->hidden,
                                  .intermediate = shape->intermediate,
                                  .heads = shape->heads,
                                  .kv_heads = shape->kv_heads,
                                  .experts = shape->experts};
    layer->linears = calloc(NAIVE_MLP + 3 * (shape->experts + 1), sizeof *layer->linears);
    assert_non_null(layer->linears);
    add_linear(layer, "self_attn.q_proj", shape->hidden, shape->hidden);
    add_linear(layer, "self_attn.k_proj", shape->kv_heads * head_dim, shape->hidden);
    add_linear(layer, "self_attn.v_proj", shape->kv_heads * head_dim, shape->hidden);
    add_linear(layer, "self_attn.o_proj", shape->hidden, shape->hidden);
    if (shape->experts == 0)
        add_mlp(layer, "mlp", mlp);
    for (size_t e = 0; e < shape->experts; e++) {
        char prefix[48];
        snprintf(prefix, sizeof prefix, "block_sparse_moe.experts.%zu", e);
        add_mlp(layer, prefix, expert);
    }
    for (size_t i = 0; i < layer->num_linears; i++)
        layer->linears[i].weight = read_member(small, index, layer->linears[i].name);
    layer->input_norm = read_member(small, index, "input_layernorm");
    layer->post_attention_norm = read_member(small, index, "post_attention_layernorm");
    if (shape->experts > 0)
        layer->router = read_member(small, index, "block_sparse_moe.gate");
}

void naive_layer_free(struct naive_layer *layer)
{
    for (size_t i = 0; i < layer->num_linears; i++) {
        free(layer->linears[i].weight);
        free(layer->linears[i].bias);
    }
    free(layer->linears);
    free(layer->input_norm);
    free(layer->post_attention_norm);
    free(layer->router);
}

size_t naive_index_of(const struct naive_layer *layer, const char *name)
{
    for (size_t i = 0; i < layer->num_linears; i++)
        if (strcmp(layer->linears[i].name, name) == 0)
            return i;
    fail_msg("no linear %s", name);
    return 0;
}

struct naive_linear *naive_linear_of(const struct naive_layer *layer, const char *name)
{
    return &layer->linears[naive_index_of(layer, name)];
}

void naive_layer_put(struct naive_layer *layer, const char *name, const float *weight)
{
    struct naive_linear *linear = naive_linear_of(layer, name);
    for (size_t k = 0; k < linear->out * linear->in; k++)
        linear->weight[k] = (double)weight[k];
}

// ---- the forward pass ------------------------------------------------------------------------------------

// out[tokens, n] = x[tokens, k] weight[n, k]^T
static void multiply(double *out, const double *x, const double *weight, size_t tokens, size_t n, size_t k)
{
    for (size_t t = 0; t < tokens; t++)
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t j = 0; j < k; j++)
                sum += x[t * k + j] * weight[i * k + j];
            out[t * n + i] = sum;
        }
}

// The trace of a linear whose input is x, for the tokens that reach it.
static void apply(struct naive_trace *trace, const struct naive_layer *layer, size_t index, const double *x,
                  const bool *reached)
{
    const struct naive_linear *linear = &layer->linears[index];
    const size_t tokens = trace->tokens;
    double *in = trace->inputs[index] = new_doubles(tokens * linear->in);
    double *out = trace->outputs[index] = new_doubles(tokens * linear->out);

    trace->reached[index] = malloc(tokens);
    assert_non_null(trace->reached[index]);
    for (size_t t = 0; t < tokens; t++) {
        trace->reached[index][t] = reached == NULL || reached[t];
        for (size_t j = 0; j < linear->in && trace->reached[index][t]; j++)
            in[t * linear->in + j] = x[t * linear->in + j];
    }
    multiply(out, in, linear->weight, tokens, linear->out, linear->in);
    for (size_t t = 0; t < tokens && linear->bias != NULL; t++)
        for (size_t i = 0; i < linear->out; i++)
            out[t * linear->out + i] += linear->bias[i];
}

// RMS norm.
static double *normalised(const double *x, const double *weight, size_t tokens, size_t size)
{
    double *y = new_doubles(tokens * size);
    for (size_t t = 0; t < tokens; t++) {
        double mean_square = 0;
        for (size_t j = 0; j < size; j++)
            mean_square += x[t * size + j] * x[t * size + j] / (double)size;
        for (size_t j = 0; j < size; j++)
            y[t * size + j] = x[t * size + j] / sqrt(mean_square + norm_epsilon) * weight[j];
    }
    return y;
}

// Pair (i, i + dim / 2) of a head turned by position * theta^(-2i / dim); the caller frees.
static double *rotated(const double *x, size_t tokens, size_t heads, size_t dim)
{
    double *y = new_doubles(tokens * heads * dim);
    for (size_t t = 0; t < tokens; t++)
        for (size_t h = 0; h < heads; h++)
            for (size_t i = 0; i < dim / 2; i++) {
                const double angle = (double)t * pow(rope_theta, -2 * (double)i / (double)dim);
                const size_t at = (t * heads + h) * dim + i;
                y[at] = x[at] * cos(angle) - x[at + dim / 2] * sin(angle);
                y[at + dim / 2] = x[at + dim / 2] * cos(angle) + x[at] * sin(angle);
            }
    return y;
}

// Causal softmax(q k^T / sqrt(dim)) v; query head h reads key-value head h / (heads / kv_heads).
static double *attended(const struct naive_trace *trace, const struct naive_layer *layer)
{
    const size_t tokens = trace->tokens, heads = layer->heads, kv_heads = layer->kv_heads;
    const size_t dim = layer->hidden / heads;
    double *q = rotated(trace->outputs[NAIVE_Q], tokens, heads, dim);
    double *k = rotated(trace->outputs[NAIVE_K], tokens, kv_heads, dim);
    const double *v = trace->outputs[NAIVE_V];
    double *out = new_doubles(tokens * layer->hidden), *p = new_doubles(tokens);

    for (size_t t = 0; t < tokens; t++)
        for (size_t h = 0; h < heads; h++) {
            const size_t kv = h / (heads / kv_heads);
            double sum = 0;
            for (size_t u = 0; u <= t; u++) {
                double score = 0;
                for (size_t i = 0; i < dim; i++)
                    score += q[(t * heads + h) * dim + i] * k[(u * kv_heads + kv) * dim + i];
                p[u] = exp(score / sqrt((double)dim));
                sum += p[u];
            }
            for (size_t u = 0; u <= t; u++)
                for (size_t i = 0; i < dim; i++)
                    out[(t * heads + h) * dim + i] += p[u] / sum * v[(u * kv_heads + kv) * dim + i];
        }
    free(q);
    free(k);
    free(p);
    return out;
}

// Adds share[t] times the MLP whose gate is the linear `first`, of the tokens with a share; share NULL: 1.
static void add_feed_forward(struct naive_trace *trace, const struct naive_layer *layer, size_t first,
                             const double *x, const double *share)
{
    const size_t tokens = trace->tokens, wide = layer->intermediate;
    double *inner = new_doubles(tokens * wide);
    bool *reached = malloc(tokens);

    assert_non_null(reached);
    for (size_t t = 0; t < tokens; t++)
        reached[t] = share == NULL || share[t] > 0;
    apply(trace, layer, first, x, reached);
    apply(trace, layer, first + 1, x, reached);
    for (size_t k = 0; k < tokens * wide; k++) {
        const double gate = trace->outputs[first][k];
        inner[k] = gate / (1 + exp(-gate)) * trace->outputs[first + 1][k];
    }
    apply(trace, layer, first + 2, inner, reached);
    for (size_t t = 0; t < tokens; t++)
        for (size_t j = 0; j < layer->hidden && reached[t]; j++)
            trace->hidden[t * layer->hidden + j] +=
                (share != NULL ? share[t] : 1) * trace->outputs[first + 2][t * layer->hidden + j];
    free(inner);
    free(reached);
}

// shares[experts, tokens]: the softmax over the two largest logits of each token, 0 for the other experts.
static double *route(const struct naive_layer *layer, const double *x, size_t tokens)
{
    const size_t experts = layer->experts;
    double *logits = new_doubles(tokens * experts), *shares = new_doubles(tokens * experts);

    multiply(logits, x, layer->router, tokens, experts, layer->hidden);
    for (size_t t = 0; t < tokens; t++) {
        double sum = 0;
        for (size_t e = 0; e < experts; e++) {
            size_t better = 0;
            for (size_t f = 0; f < experts; f++)
                better += logits[t * experts + f] > logits[t * experts + e] ||
                          (logits[t * experts + f] == logits[t * experts + e] && f < e);
            if (better < EXPERTS_PER_TOKEN)
                sum += shares[e * tokens + t] = exp(logits[t * experts + e]);
        }
        for (size_t e = 0; e < experts; e++)
            shares[e * tokens + t] /= sum;
    }
    free(logits);
    return shares;
}

void naive_layer_forward(struct naive_trace *trace, const struct naive_layer *layer, const double *hidden,
                         size_t tokens)
{
    const size_t values = tokens * layer->hidden;

    *trace = (struct naive_trace){.tokens = tokens,
                                  .inputs = calloc(layer->num_linears, sizeof *trace->inputs),
                                  .outputs = calloc(layer->num_linears, sizeof *trace->outputs),
                                  .reached = calloc(layer->num_linears, sizeof *trace->reached),
                                  .hidden = new_doubles(values)};
    assert_true(trace->inputs != NULL && trace->outputs != NULL && trace->reached != NULL);
    double *x = normalised(hidden, layer->input_norm, tokens, layer->hidden);
    for (size_t i = NAIVE_Q; i <= NAIVE_V; i++)
        apply(trace, layer, i, x, NULL);
    free(x);
    x = attended(trace, layer);
    apply(trace, layer, NAIVE_O, x, NULL);
    free(x);
    for (size_t k = 0; k < values; k++)
        trace->hidden[k] = hidden[k] + trace->outputs[NAIVE_O][k];
    x = normalised(trace->hidden, layer->post_attention_norm, tokens, layer->hidden);
    if (layer->experts == 0)
        add_feed_forward(trace, layer, NAIVE_MLP, x, NULL);
    double *shares = layer->experts > 0 ? route(layer, x, tokens) : NULL;
    for (size_t e = 0; e < layer->experts; e++)
        add_feed_forward(trace, layer, NAIVE_MLP + 3 * e, x, shares + e * tokens);
    free(shares);
    free(x);
}

void naive_trace_free(struct naive_trace *trace, const struct naive_layer *layer)
{
    for (size_t i = 0; i < layer->num_linears; i++) {
        free(trace->inputs[i]);
        free(trace->outputs[i]);
        free(trace->reached[i]);
    }
    free(trace->inputs);
    free(trace->outputs);
    free(trace->reached);
    free(trace->hidden);
}

// ---- all sequences ---------------------------------------------------------------------------------------

static void pass_sequences(struct naive_pass *pass, const struct small_model *small, const char *stream,
                           size_t index)
{
    const size_t values = small->settings.length * small->shape.checkpoint.hidden;
    float *states = small_hidden_states(small, stream, index);

    for (size_t s = 0; s < pass->sequences; s++) {
        double *hidden = doubles_of(states + s * values, values);
        naive_layer_forward(&pass->traces[s], &pass->layer, hidden, small->settings.length);
        free(hidden);
    }
    free(states);
}

void naive_pass_run(struct naive_pass *pass, const struct small_model *small, const char *stream,
                    size_t index)
{
    naive_layer_read(&pass->layer, small, index);
    pass->sequences = small->settings.sequences;
    pass->traces = calloc(pass->sequences, sizeof *pass->traces);
    assert_non_null(pass->traces);
    pass_sequences(pass, small, stream, index);
}

void naive_pass_again(struct naive_pass *pass, const struct small_model *small, const char *stream,
                      size_t index)
{
    for (size_t s = 0; s < pass->sequences; s++)
        naive_trace_free(&pass->traces[s], &pass->layer);
    pass_sequences(pass, small, stream, index);
}

void naive_pass_free(struct naive_pass *pass)
{
    for (size_t s = 0; s < pass->sequences; s++)
        naive_trace_free(&pass->traces[s], &pass->layer);
    free(pass->traces);
    naive_layer_free(&pass->layer);
}

// ---- the whole model -------------------------------------------------------------------------------------

static double log_softmax(const double *logits, size_t count, size_t index)
{
    double largest = logits[0], sum = 0;
    for (size_t v = 0; v < count; v++)
        largest = fmax(largest, logits[v]);
    for (size_t v = 0; v < count; v++)
        sum += exp(logits[v] - largest);
    return logits[index] - largest - log(sum);
}

void naive_logits(double *logits, const struct small_model *small, const struct naive_layer *layers,
                  const int32_t *ids, size_t tokens)
{
    const struct random_checkpoint *shape = &small->shape.checkpoint;
    const size_t hidden_size = shape->hidden, vocab = shape->vocab;
    double *embedding = read_tensor(small, "model.embed_tokens.weight");
    double *norm = read_tensor(small, "model.norm.weight");
    double *head = shape->tied ? NULL : read_tensor(small, "lm_head.weight");
    double *hidden = new_doubles(tokens * hidden_size);

    for (size_t t = 0; t < tokens; t++)
        memcpy(hidden + t * hidden_size, embedding + (size_t)ids[t] * hidden_size,
               hidden_size * sizeof *hidden);
    for (size_t l = 0; l < shape->layers; l++) {
        struct naive_trace trace;
        naive_layer_forward(&trace, &layers[l], hidden, tokens);
        memcpy(hidden, trace.hidden, tokens * hidden_size * sizeof *hidden);
        naive_trace_free(&trace, &layers[l]);
    }
    double *x = normalised(hidden, norm, tokens, hidden_size);
    multiply(logits, x, head != NULL ? head : embedding, tokens, vocab, hidden_size);
    free(x);
    free(embedding);
    free(norm);
    free(head);
    free(hidden);
}

void naive_log_likelihoods(double *log_likelihoods, const struct small_model *small,
                           const struct naive_layer *layers, const int32_t *ids, size_t tokens)
{
    const size_t vocab = small->shape.checkpoint.vocab;
    double *logits = new_doubles(tokens * vocab);

    naive_logits(logits, small, layers, ids, tokens);
    for (size_t t = 0; t + 1 < tokens; t++)
        log_likelihoods[t] = log_softmax(logits + t * vocab, vocab, (size_t)ids[t + 1]);
    free(logits);
}
