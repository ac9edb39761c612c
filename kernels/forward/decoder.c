#include "kernels/forward/decoder.h"
#include "kernels/forward/attention.h"
#include "kernels/forward/experts.h"
#include "kernels/workspace.h"

#include <string.h>

// One pass through a layer: what it reads, and its intermediates in the workspace.
struct pass {
    const struct decoder_config *config;
    const struct decoder_layer *layer;
    const struct rotary_table *rotary;
    const struct decoder_observer *observer;
    const struct token_tree *tree;
    size_t tokens; // of the whole tree
    float *input;  // [T, max(hidden, heads * head_dim)]: the normed input; then the heads' outputs
    float *delta;  // [T, hidden]: what is added to the residual stream
    float *inner;  // query, key and value [T, qkv] and attention's scores; then what the MLP needs
};

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
    return cache_lines(tokens * larger(config->hidden_size, query_size(config)));
}

static size_t qkv_size(const struct decoder_config *config, size_t tokens)
{
    return cache_lines(tokens * (query_size(config) + 2 * key_value_size(config)));
}

size_t decoder_workspace_size(const struct decoder_config *config, size_t tokens)
{
    const size_t intermediate = larger(config->intermediate_size, config->shared_expert_intermediate_size);
    size_t inner = qkv_size(config, tokens) + cache_lines(attention_workspace_size(tokens));

    inner = larger(inner, feed_forward_workspace_size(intermediate, tokens));
    if (config->num_experts != 0)
        inner =
            larger(inner, experts_workspace_size(config->num_experts, config->num_experts_per_tok,
                                                 config->hidden_size, config->moe_intermediate_size, tokens));
    return input_size(config, tokens) + cache_lines(tokens * config->hidden_size) + inner;
}

static void add(float *hidden, const float *delta, size_t n)
{
    for (size_t i = 0; i < n; i++)
        hidden[i] += delta[i];
}

static void normalise(const struct pass *pass, float *out, const float *x, const struct norm *norm)
{
    norm_forward(out, x, pass->tokens, pass->config->hidden_size, norm, pass->config->norm,
                 pass->config->norm_epsilon);
}

// The heads of query, key and value in pass->inner, of all tokens.
struct qkv_heads {
    struct heads query, key, value;
};

static struct qkv_heads find_heads(const struct pass *pass)
{
    const struct decoder_config *config = pass->config;
    const size_t head_dim = config->head_dim, query = query_size(config), key_value = key_value_size(config);
    const bool per_head = pass->layer->qkv.weight != NULL && config->qkv_layout == QKV_PER_HEAD;
    const struct heads all = {.tokens = pass->tokens,
                              .token_stride = per_head ? 3 * query : query + 2 * key_value,
                              .head_stride = per_head ? 3 * head_dim : head_dim};
    struct qkv_heads heads = {all, all, all};

    heads.query.num_heads = config->num_attention_heads;
    heads.key.num_heads = heads.value.num_heads = config->num_key_value_heads;
    heads.query.data = pass->inner;
    heads.key.data = heads.query.data + (per_head ? head_dim : query);
    heads.value.data = heads.key.data + (per_head ? head_dim : key_value);
    return heads;
}

static void project(const struct pass *pass, const struct qkv_heads *heads)
{
    const struct decoder_layer *layer = pass->layer;
    const size_t stride = heads->query.token_stride;

    if (layer->qkv.weight != NULL) {
        linear_forward(pass->inner, stride, &layer->qkv, pass->input, pass->tokens);
        return;
    }
    linear_forward(heads->query.data, stride, &layer->q, pass->input, pass->tokens);
    linear_forward(heads->key.data, stride, &layer->k, pass->input, pass->tokens);
    linear_forward(heads->value.data, stride, &layer->v, pass->input, pass->tokens);
}

static size_t tree_size(const struct token_tree *tree)
{
    size_t tokens = tree->prefix;
    for (size_t b = 0; b < tree->num_branches; b++)
        tokens += tree->branches[b];
    return tokens;
}

// Rotates the heads of the next `tokens` tokens, the first of which is at position `start`, and goes on to
// the token after them.
static void rotate_next(const struct pass *pass, struct heads *heads, size_t tokens, size_t start)
{
    const size_t rotary_dim = pass->config->rotary_dim, offset = start * (rotary_dim / 2);
    const bool local = pass->layer->local_rotary;

    heads->tokens = tokens;
    rotary_forward(heads, rotary_dim, (local ? pass->rotary->local_cosine : pass->rotary->cosine) + offset,
                   (local ? pass->rotary->local_sine : pass->rotary->sine) + offset);
    heads->data += tokens * heads->token_stride;
}

// Norms, then rotates the heads of query or key.
static void position(const struct pass *pass, struct heads heads, const struct norm *norm)
{
    const struct decoder_config *config = pass->config;
    const struct token_tree *tree = pass->tree;

    if (norm->weight != NULL)
        norm_heads(&heads, config->head_dim, norm, config->norm, config->norm_epsilon);
    if (config->rotary_dim == 0)
        return;
    rotate_next(pass, &heads, tree->prefix, 0);
    for (size_t b = 0; b < tree->num_branches; b++)
        rotate_next(pass, &heads, tree->branches[b], tree->prefix);
}

// Attention of the whole tree: the prefix by itself, then every branch with the prefix as its past.
static void attend_tree(float *out, const struct attention *prefix, const struct token_tree *tree,
                        float *workspace)
{
    const struct attention_past past = {tree->prefix, prefix->key, prefix->value};
    const size_t out_stride = prefix->num_heads * prefix->head_dim;
    size_t row = tree->prefix;

    attention_forward(out, prefix, tree->prefix, workspace);
    for (size_t b = 0; b < tree->num_branches; b++) {
        struct attention branch = *prefix;
        branch.query += row * prefix->token_stride;
        branch.key += row * prefix->token_stride;
        branch.value += row * prefix->token_stride;
        attention_forward_after(out + row * out_stride, &branch, &past, tree->branches[b], workspace);
        row += tree->branches[b];
    }
}

// pass->delta <- attention of pass->input, which is overwritten. False when the observer ended the pass.
static bool attend(const struct pass *pass)
{
    const struct decoder_config *config = pass->config;
    const struct decoder_layer *layer = pass->layer;
    const struct qkv_heads heads = find_heads(pass);
    float *scores = pass->inner + qkv_size(config, pass->tokens);

    if (!notify_observer(pass->observer, SOURCE_ATTENTION, pass->input, pass->tokens, config->hidden_size))
        return false;
    project(pass, &heads);
    position(pass, heads.query, &layer->query_norm);
    position(pass, heads.key, &layer->key_norm);
    const struct attention attention = {
        .num_heads = config->num_attention_heads,
        .num_key_value_heads = config->num_key_value_heads,
        .head_dim = config->head_dim,
        .query = heads.query.data,
        .key = heads.key.data,
        .value = heads.value.data,
        .token_stride = heads.query.token_stride,
        .query_head_stride = heads.query.head_stride,
        .key_value_head_stride = heads.key.head_stride,
        .scale = config->attention_scale,
        .soft_cap = config->attention_soft_cap,
        .sliding_window = layer->sliding_window,
    };
    attend_tree(pass->input, &attention, pass->tree, scores);
    if (!notify_observer(pass->observer, SOURCE_ATTENTION_OUTPUT, pass->input, pass->tokens,
                         query_size(config)))
        return false;
    linear_forward(pass->delta, config->hidden_size, &layer->o, pass->input, pass->tokens);
    if (layer->attention_output_norm.weight != NULL)
        normalise(pass, pass->delta, pass->delta, &layer->attention_output_norm);
    return true;
}

// The layer's MLP or shared expert.
static struct feed_forward dense_part(const struct pass *pass)
{
    const struct decoder_layer *layer = pass->layer;
    const size_t intermediate = layer->gate_up.out / 2;
    struct feed_forward mlp = {layer->gate, layer->up, layer->down, pass->config->activation};

    if (layer->gate_up.weight != NULL) {
        mlp.gate = linear_slice(&layer->gate_up, 0, intermediate);
        mlp.up = linear_slice(&layer->gate_up, intermediate, intermediate);
    }
    return mlp;
}

// pass->delta, the shared expert's output, times the sigmoid of its gate.
static void gate_shared_expert(const struct pass *pass)
{
    const size_t hidden = pass->config->hidden_size;
    float *gate = pass->inner;

    linear_forward(gate, 1, &pass->layer->shared_expert_gate, pass->input, pass->tokens);
    for (size_t t = 0; t < pass->tokens; t++) {
        const float share = sigmoid(gate[t]);
        for (size_t i = 0; i < hidden; i++)
            pass->delta[t * hidden + i] *= share;
    }
}

static bool mix_experts(const struct pass *pass, bool beside_shared)
{
    const struct decoder_config *config = pass->config;
    const struct decoder_layer *layer = pass->layer;
    const struct experts experts = {
        .num_experts = config->num_experts,
        .num_experts_per_tok = config->num_experts_per_tok,
        .norm_topk_prob = config->norm_topk_prob,
        .router = layer->router,
        .first = {layer->expert_gate, layer->expert_up, layer->expert_down, config->activation},
        .stride = layer->expert_stride,
    };

    return experts_forward(pass->delta, &experts, pass->input, pass->tokens, pass->inner, pass->observer,
                           beside_shared ? SOURCE_EXPERTS_BESIDE_SHARED : SOURCE_EXPERTS);
}

// pass->delta <- MLP and experts of pass->input. False when the observer ended the pass.
static bool transform(const struct pass *pass)
{
    const struct decoder_layer *layer = pass->layer;
    const struct feed_forward dense = dense_part(pass);

    if (dense.up.weight == NULL)
        memset(pass->delta, 0, pass->tokens * pass->config->hidden_size * sizeof(float));
    else if (!feed_forward(pass->delta, &dense, pass->input, pass->tokens, pass->inner, pass->observer,
                           SOURCE_MLP))
        return false;
    if (layer->shared_expert_gate.weight != NULL)
        gate_shared_expert(pass);
    if (layer->router.weight != NULL && !mix_experts(pass, dense.up.weight != NULL))
        return false;
    if (layer->output_norm.weight != NULL)
        normalise(pass, pass->delta, pass->delta, &layer->output_norm);
    return true;
}

// norm(x + attention(x)), then norm(that + mlp(that)).
static void forward_norm_after(const struct pass *pass, float *hidden)
{
    const size_t size = pass->tokens * pass->config->hidden_size;

    memcpy(pass->input, hidden, size * sizeof *hidden);
    if (!attend(pass))
        return;
    add(hidden, pass->delta, size);
    normalise(pass, hidden, hidden, &pass->layer->input_norm);
    memcpy(pass->input, hidden, size * sizeof *hidden);
    if (!transform(pass))
        return;
    add(hidden, pass->delta, size);
    normalise(pass, hidden, hidden, &pass->layer->post_attention_norm);
}

static void forward_norm_before(const struct pass *pass, float *hidden)
{
    const size_t size = pass->tokens * pass->config->hidden_size;

    normalise(pass, pass->input, hidden, &pass->layer->input_norm);
    if (!attend(pass))
        return;
    if (pass->config->parallel_residual)
        normalise(pass, pass->input, hidden, &pass->layer->post_attention_norm);
    add(hidden, pass->delta, size);
    if (!pass->config->parallel_residual)
        normalise(pass, pass->input, hidden, &pass->layer->post_attention_norm);
    if (!transform(pass))
        return;
    add(hidden, pass->delta, size);
}

static void forward(struct pass *pass, float *hidden, float *workspace)
{
    const struct decoder_config *config = pass->config;

    pass->tokens = tree_size(pass->tree);
    if (pass->tokens == 0)
        return;
    pass->input = workspace;
    pass->delta = pass->input + input_size(config, pass->tokens);
    pass->inner = pass->delta + cache_lines(pass->tokens * config->hidden_size);
    if (config->norm_after)
        forward_norm_after(pass, hidden);
    else
        forward_norm_before(pass, hidden);
}

void decoder_layer_forward(const struct decoder_config *config, const struct decoder_layer *layer,
                           const struct rotary_table *rotary, float *hidden, size_t tokens, float *workspace,
                           const struct decoder_observer *observer)
{
    const struct token_tree sequence = {tokens, 0, NULL};
    struct pass pass = {
        .config = config, .layer = layer, .rotary = rotary, .observer = observer, .tree = &sequence};

    forward(&pass, hidden, workspace);
}

void decoder_layer_forward_tree(const struct decoder_config *config, const struct decoder_layer *layer,
                                const struct rotary_table *rotary, float *hidden,
                                const struct token_tree *tree, float *workspace)
{
    struct pass pass = {.config = config, .layer = layer, .rotary = rotary, .tree = tree};

    forward(&pass, hidden, workspace);
}
