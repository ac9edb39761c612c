#include "kernels/forward/linear_attention.h"
#include "kernels/forward/delta_rule.h"
#include "kernels/forward/short_convolution.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

static const double l2_epsilon = 1e-6;

// Sizes that come up everywhere.
struct sizes {
    size_t tokens, key, value, mixed; // K, V, 2 K + V
    size_t shared;                    // value heads of a key head
};

// The workspace's parts.
struct scratch {
    float *projected; // [tokens, mixed + V]: the output of qkvz, or of qkv followed by [tokens, V] of z
    float *gates;     // [tokens, 2 num_value_heads]: the output of ba, or of b and a as they come
    float *beta;      // [tokens, num_value_heads]
    float *log_decay; // [tokens, num_value_heads]
    float *taps;      // [taps, mixed]: the convolution's weights, channels side by side
    float *mixed;     // [tokens, mixed]: queries, keys, values after the convolution
    float *states;    // [threads, 2, key_head_dim, value_head_dim]: after the prefix; of the branch in hand
    float *rule;      // of each thread
};

static struct sizes sizes_of(const struct linear_attention_config *config, size_t tokens)
{
    const size_t key = config->num_key_heads * config->key_head_dim;
    const size_t value = config->num_value_heads * config->value_head_dim;
    return (struct sizes){
        .tokens = tokens,
        .key = key,
        .value = value,
        .mixed = 2 * key + value,
        .shared = config->num_key_heads == 0 ? 0 : config->num_value_heads / config->num_key_heads};
}

static float *take(size_t *used, float *workspace, size_t floats)
{
    float *part = workspace != NULL ? workspace + *used : NULL;
    *used += cache_lines(floats);
    return part;
}

// Returns the floats of all parts; workspace NULL: only these are asked for.
static size_t lay_out(struct scratch *scratch, const struct linear_attention_config *config, size_t tokens,
                      float *workspace)
{
    const struct sizes sizes = sizes_of(config, tokens);
    const size_t heads = config->num_value_heads;
    size_t used = 0;

    scratch->projected = take(&used, workspace, tokens * (sizes.mixed + sizes.value));
    scratch->gates = take(&used, workspace, tokens * 2 * heads);
    scratch->beta = take(&used, workspace, tokens * heads);
    scratch->log_decay = take(&used, workspace, tokens * heads);
    scratch->taps = take(&used, workspace, config->taps * sizes.mixed);
    scratch->mixed = take(&used, workspace, tokens * sizes.mixed);
    scratch->states =
        take(&used, workspace, threads_count() * 2 * config->key_head_dim * config->value_head_dim);
    scratch->rule =
        take(&used, workspace,
             threads_count() * delta_rule_workspace_size(config->key_head_dim, config->value_head_dim));
    return used;
}

// One pass, whose heads and tokens are shared out to threads.
struct mixing {
    const struct scratch *scratch;
    const struct linear_attention *attention;
    const struct linear_attention_config *config;
    const struct sizes *sizes;
    const struct token_tree *tree;
    float *out; // [tokens, V]
};

size_t linear_attention_channels(const struct linear_attention_config *config)
{
    return config->num_value_heads * config->value_head_dim;
}

size_t linear_attention_workspace_size(const struct linear_attention_config *config, size_t tokens)
{
    struct scratch scratch;
    return config->num_value_heads == 0 ? 0 : lay_out(&scratch, config, tokens, NULL);
}

double linear_attention_work(const struct linear_attention_config *config)
{
    if (config->num_value_heads == 0)
        return 0;
    return 2.0 * (double)(config->taps * sizes_of(config, 0).mixed) +
           (double)config->num_value_heads * delta_rule_work(config->key_head_dim, config->value_head_dim);
}

// ---- projections -----------------------------------------------------------------------------------------

static void project(const struct scratch *scratch, const struct linear_attention *attention,
                    const struct sizes *sizes, size_t heads, const float *x)
{
    if (attention->qkvz.weight != NULL) {
        linear_forward(scratch->projected, sizes->mixed + sizes->value, &attention->qkvz, x, sizes->tokens);
        linear_forward(scratch->gates, 2 * heads, &attention->ba, x, sizes->tokens);
        return;
    }
    linear_forward(scratch->projected, sizes->mixed, &attention->qkv, x, sizes->tokens);
    linear_forward(scratch->projected + sizes->tokens * sizes->mixed, sizes->value, &attention->z, x,
                   sizes->tokens);
    linear_forward(scratch->gates, 2 * heads, &attention->b, x, sizes->tokens);
    linear_forward(scratch->gates + heads, 2 * heads, &attention->a, x, sizes->tokens);
}

// log(1 + e^x), which is x beyond 20 in float32.
static double softplus(double x)
{
    return x > 20 ? x : log1p(exp(x));
}

static void compute_gates(const void *context, size_t first_head, size_t count, size_t thread)
{
    const struct mixing *mixing = context;
    const struct scratch *scratch = mixing->scratch;
    const struct linear_attention *attention = mixing->attention;
    const struct sizes *sizes = mixing->sizes;
    const size_t heads = mixing->config->num_value_heads;
    // Of value head h, b is at `first`, and a so much further.
    const bool fused = attention->ba.weight != NULL;
    const size_t distance = fused ? sizes->shared : heads;

    (void)thread;
    for (size_t h = first_head; h < first_head + count; h++) {
        const size_t first = fused ? h / sizes->shared * sizes->shared + h : h;
        const double rate = -exp((double)attention->a_log[h]), bias = (double)attention->dt_bias[h];
        for (size_t t = 0; t < sizes->tokens; t++) {
            const float *b = scratch->gates + t * 2 * heads + first;
            scratch->beta[t * heads + h] = sigmoid(*b);
            scratch->log_decay[t * heads + h] = (float)(rate * softplus((double)b[distance] + bias));
        }
    }
}

// ---- the convolution -------------------------------------------------------------------------------------

// The channels of one key head among the projected ones, and where they belong among all queries, all keys,
// all values.
struct section {
    size_t from, to, channels;
};

static void list_sections(struct section *sections, size_t head, bool fused, const struct sizes *sizes,
                          const struct linear_attention_config *config)
{
    const size_t key = config->key_head_dim, value = sizes->shared * config->value_head_dim;
    const size_t group = head * 2 * (key + value);

    sections[0] = (struct section){group, head * key, key};
    sections[1] = (struct section){group + key, sizes->key + head * key, key};
    sections[2] = (struct section){group + 2 * key, 2 * sizes->key + head * value, value};
    for (size_t i = 0; i < 3 && !fused; i++)
        sections[i].from = sections[i].to;
}

static void convolve_section(const struct scratch *scratch, const struct section *section,
                             const struct linear_attention_config *config, const struct sizes *sizes,
                             const struct token_tree *tree, size_t stride)
{
    const struct short_convolution convolution = {section->channels, config->taps,
                                                  scratch->taps + section->to, sizes->mixed};
    const float *first = scratch->projected + section->from;
    struct convolved_tokens tokens = {.x = first, .past = first, .tokens = tree->prefix, .stride = stride};
    float *out = scratch->mixed + section->to;

    short_convolution_forward(out, sizes->mixed, &convolution, &tokens);
    tokens.past_tokens = tree->prefix;
    for (size_t b = 0; b < tree->num_branches; b++) {
        tokens.x += tokens.tokens * stride;
        out += tokens.tokens * sizes->mixed;
        tokens.tokens = tree->branches[b];
        short_convolution_forward(out, sizes->mixed, &convolution, &tokens);
    }
}

static void convolve_heads(const void *context, size_t first, size_t count, size_t thread)
{
    const struct mixing *mixing = context;
    const struct sizes *sizes = mixing->sizes;
    const bool fused = mixing->attention->qkvz.weight != NULL;
    const size_t stride = fused ? sizes->mixed + sizes->value : sizes->mixed;

    (void)thread;
    for (size_t head = first; head < first + count; head++) {
        struct section sections[3];
        list_sections(sections, head, fused, sizes, mixing->config);
        for (size_t i = 0; i < 3; i++)
            convolve_section(mixing->scratch, &sections[i], mixing->config, sizes, mixing->tree, stride);
    }
}

static void convolve(const struct mixing *mixing)
{
    const struct scratch *scratch = mixing->scratch;
    const struct linear_attention_config *config = mixing->config;
    const struct sizes *sizes = mixing->sizes;

    for (size_t k = 0; k < config->taps; k++)
        for (size_t c = 0; c < sizes->mixed; c++)
            scratch->taps[k * sizes->mixed + c] = mixing->attention->convolution[c * config->taps + k];
    threads_share(config->num_key_heads, 1, convolve_heads, mixing);
    activation_forward(scratch->mixed, sizes->tokens * sizes->mixed, config->activation);
}

// ---- the rule --------------------------------------------------------------------------------------------

static void normalise(float *x, size_t n, double scale)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    const float factor = (float)(scale / sqrt(sum + l2_epsilon));
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

static void normalise_heads(const void *context, size_t first, size_t count, size_t thread)
{
    const struct mixing *mixing = context;
    const struct sizes *sizes = mixing->sizes;
    const size_t dim = mixing->config->key_head_dim;

    (void)thread;
    for (size_t t = first; t < first + count; t++) {
        float *row = mixing->scratch->mixed + t * sizes->mixed;
        for (size_t head = 0; head < mixing->config->num_key_heads; head++) {
            normalise(row + head * dim, dim, 1.0 / sqrt((double)dim));
            normalise(row + sizes->key + head * dim, dim, 1.0);
        }
    }
}

// Of the tokens from `first` on.
static void apply_rule(float *out, const struct delta_rule *rule, size_t out_stride, size_t first,
                       size_t tokens, float *state, float *workspace)
{
    struct delta_rule part = *rule;
    part.query += first * rule->stride;
    part.key += first * rule->stride;
    part.value += first * rule->stride;
    part.log_decay += first * rule->gate_stride;
    part.beta += first * rule->gate_stride;
    delta_rule_forward(out + first * out_stride, out_stride, &part, state, tokens, workspace);
}

// Its channels of out[tokens, V] <- the rule of one value head in the whole tree.
static void attend(const struct mixing *mixing, size_t head, size_t thread)
{
    const struct scratch *scratch = mixing->scratch;
    const struct linear_attention_config *config = mixing->config;
    const struct sizes *sizes = mixing->sizes;
    const struct token_tree *tree = mixing->tree;
    const size_t dim = config->key_head_dim, state_size = dim * config->value_head_dim;
    const float *query = scratch->mixed + head / sizes->shared * dim;
    const struct delta_rule rule = {.key_head_dim = dim,
                                    .value_head_dim = config->value_head_dim,
                                    .query = query,
                                    .key = query + sizes->key,
                                    .value = scratch->mixed + 2 * sizes->key + head * config->value_head_dim,
                                    .stride = sizes->mixed,
                                    .log_decay = scratch->log_decay + head,
                                    .beta = scratch->beta + head,
                                    .gate_stride = config->num_value_heads};
    float *state = scratch->states + thread * 2 * state_size, *copy = state + state_size;
    float *workspace = scratch->rule + thread * delta_rule_workspace_size(dim, config->value_head_dim);
    float *out = mixing->out + head * config->value_head_dim;
    size_t row = tree->prefix;

    memset(state, 0, state_size * sizeof *state);
    apply_rule(out, &rule, sizes->value, 0, tree->prefix, state, workspace);
    for (size_t b = 0; b < tree->num_branches; b++) {
        memcpy(copy, state, state_size * sizeof *state);
        apply_rule(out, &rule, sizes->value, row, tree->branches[b], copy, workspace);
        row += tree->branches[b];
    }
}

static void attend_heads(const void *context, size_t first, size_t count, size_t thread)
{
    for (size_t head = first; head < first + count; head++)
        attend(context, head, thread);
}

// out *= silu(z), which is overwritten.
static void gate_output(const void *context, size_t first, size_t count, size_t thread)
{
    const struct mixing *mixing = context;
    const struct scratch *scratch = mixing->scratch;
    const struct linear_attention *attention = mixing->attention;
    const struct linear_attention_config *config = mixing->config;
    const struct sizes *sizes = mixing->sizes;
    const bool fused = attention->qkvz.weight != NULL;
    const size_t key = config->key_head_dim, value = sizes->shared * config->value_head_dim;

    (void)thread;
    for (size_t head = first; head < first + count; head++) {
        float *z = fused ? scratch->projected + head * 2 * (key + value) + 2 * key + value
                         : scratch->projected + sizes->tokens * sizes->mixed + head * value;
        const size_t stride = fused ? sizes->mixed + sizes->value : sizes->value;
        float *out = mixing->out + head * value;
        activation_gate(z, stride, out, sizes->value, sizes->tokens, value, ACTIVATION_SILU);
        for (size_t t = 0; t < sizes->tokens; t++)
            memcpy(out + t * sizes->value, z + t * stride, value * sizeof *z);
    }
}

void linear_attention_forward(float *mixed, const struct linear_attention *attention,
                              const struct linear_attention_config *config, const float *x,
                              const struct token_tree *tree, float *workspace)
{
    const struct sizes sizes = sizes_of(config, token_tree_size(tree));
    const struct heads heads = {mixed, sizes.tokens, sizes.value, config->num_value_heads,
                                config->value_head_dim};
    struct scratch scratch;
    const struct mixing mixing = {&scratch, attention, config, &sizes, tree, mixed};

    lay_out(&scratch, config, sizes.tokens, workspace);
    project(&scratch, attention, &sizes, config->num_value_heads, x);
    threads_share(config->num_value_heads, 1, compute_gates, &mixing);
    convolve(&mixing);
    threads_share(sizes.tokens, threads_grain(2 * sizes.key), normalise_heads, &mixing);
    threads_share(config->num_value_heads, 1, attend_heads, &mixing);
    norm_heads(&heads, config->value_head_dim, &attention->norm, NORM_RMS, config->norm_epsilon);
    threads_share(config->num_key_heads, 1, gate_output, &mixing);
}
