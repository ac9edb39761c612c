#include "kernels/decoder.h"
#include "kernels/attention.h"

// The MLP's inner channels are computed a slab at a time, so that only one of its two branches is held whole.
enum { MLP_SLAB = 1024 };

// What one layer's computation works with, and where in the workspace its intermediates lie.
struct pass {
    const struct decoder_config *config;
    const struct decoder_layer *layer;
    const struct rotary_table *rotary;
    const struct decoder_observer *observer;
    size_t tokens;
    float *input; // [T, max(hidden, heads * head_dim)]: the normed input; then the heads' outputs
    float *delta; // [T, hidden]: what is added to the residual stream
    float *inner; // query, key and value [T, qkv] and attention's scores; then the MLP's [T, intermediate]
                  // and a slab
};

// Whole cache lines, so that every part of the workspace is as aligned as its start.
static size_t round_up(size_t floats)
{
    return (floats + 15) / 16 * 16;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t query_size(const struct decoder_config *config)
{
    return config->num_attention_heads * config->head_dim;
}

static size_t key_value_size(const struct decoder_config *config)
{
    return config->num_key_value_heads * config->head_dim;
}

static size_t input_size(const struct decoder_config *config, size_t tokens)
{
    return round_up(tokens * larger(config->hidden_size, query_size(config)));
}

static size_t qkv_size(const struct decoder_config *config, size_t tokens)
{
    return round_up(tokens * (query_size(config) + 2 * key_value_size(config)));
}

static size_t mlp_size(size_t intermediate, size_t tokens)
{
    const size_t slab = intermediate < MLP_SLAB ? intermediate : MLP_SLAB;
    return round_up(tokens * intermediate) + round_up(tokens * slab);
}

size_t decoder_workspace_size(const struct decoder_config *config, size_t tokens)
{
    const size_t attention = qkv_size(config, tokens) + round_up(attention_workspace_size(tokens));
    return input_size(config, tokens) + round_up(tokens * config->hidden_size) +
           larger(attention, mlp_size(config->intermediate_size, tokens));
}

static void observe(const struct pass *pass, size_t source, const float *x, size_t tokens, size_t channels)
{
    if (pass->observer != NULL && tokens != 0)
        pass->observer->input(pass->observer->context, source, x, tokens, channels);
}

static void add(float *hidden, const float *delta, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hidden[i] += delta[i];
}

// pass->delta <- attention of pass->input, which is overwritten.
static void attend(const struct pass *pass)
{
    const struct decoder_config *config = pass->config;
    const struct decoder_layer *layer = pass->layer;
    const size_t q = query_size(config), kv = key_value_size(config), stride = q + 2 * kv;
    float *query = pass->inner, *key = query + q, *value = key + kv;
    float *scores = pass->inner + qkv_size(config, pass->tokens);

    observe(pass, SOURCE_ATTENTION, pass->input, pass->tokens, config->hidden_size);
    linear_forward(query, stride, &layer->q, pass->input, pass->tokens);
    linear_forward(key, stride, &layer->k, pass->input, pass->tokens);
    linear_forward(value, stride, &layer->v, pass->input, pass->tokens);
    rotary_forward(query, pass->tokens, stride, config->num_attention_heads, config->head_dim,
                   config->rotary_dim, pass->rotary->cosine, pass->rotary->sine);
    rotary_forward(key, pass->tokens, stride, config->num_key_value_heads, config->head_dim,
                   config->rotary_dim, pass->rotary->cosine, pass->rotary->sine);

    const struct attention attention = {
        .num_heads = config->num_attention_heads,
        .num_key_value_heads = config->num_key_value_heads,
        .head_dim = config->head_dim,
        .query = query,
        .key = key,
        .value = value,
        .token_stride = stride,
        .query_head_stride = config->head_dim,
        .key_value_head_stride = config->head_dim,
        .scale = config->attention_scale,
        .sliding_window = layer->sliding_window,
    };
    attention_forward(pass->input, &attention, pass->tokens, scores);
    observe(pass, SOURCE_ATTENTION_OUTPUT, pass->input, pass->tokens, q);
    linear_forward(pass->delta, config->hidden_size, &layer->o, pass->input, pass->tokens);
}

// out[tokens, hidden] <- the gated MLP of x[tokens, hidden]; sources: source and source + 1.
static void feed_forward(const struct pass *pass, float *out, const float *x, size_t tokens,
                         const struct linear *gate, const struct linear *up, const struct linear *down,
                         size_t source)
{
    const size_t intermediate = up->out;
    float *inner = pass->inner, *slab = inner + round_up(tokens * intermediate);

    observe(pass, source, x, tokens, up->in);
    for (size_t first = 0; first < intermediate; first += MLP_SLAB) {
        const size_t count = intermediate - first < MLP_SLAB ? intermediate - first : MLP_SLAB;
        const struct linear gate_slice = linear_slice(gate, first, count);
        const struct linear up_slice = linear_slice(up, first, count);
        linear_forward(inner + first, intermediate, &gate_slice, x, tokens);
        linear_forward(slab, count, &up_slice, x, tokens);
        activation_gate(inner + first, intermediate, slab, count, tokens, count, pass->config->activation);
    }
    observe(pass, source + 1, inner, tokens, intermediate);
    linear_forward(out, down->out, down, inner, tokens);
}

void decoder_layer_forward(const struct decoder_config *config, const struct decoder_layer *layer,
                           const struct rotary_table *rotary, float *hidden, size_t tokens, float *workspace,
                           const struct decoder_observer *observer)
{
    const size_t size = tokens * config->hidden_size;
    struct pass pass = {
        .config = config, .layer = layer, .rotary = rotary, .observer = observer, .tokens = tokens};

    if (tokens == 0)
        return;
    pass.input = workspace;
    pass.delta = pass.input + input_size(config, tokens);
    pass.inner = pass.delta + round_up(size);

    norm_forward(pass.input, hidden, tokens, config->hidden_size, &layer->input_norm, config->norm,
                 config->norm_epsilon);
    attend(&pass);
    add(hidden, pass.delta, size);
    norm_forward(pass.input, hidden, tokens, config->hidden_size, &layer->post_attention_norm, config->norm,
                 config->norm_epsilon);
    feed_forward(&pass, pass.delta, pass.input, tokens, &layer->gate, &layer->up, &layer->down, SOURCE_MLP);
    add(hidden, pass.delta, size);
}
