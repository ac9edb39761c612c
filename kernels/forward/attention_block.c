#include "kernels/forward/attention_block.h"
#include "kernels/forward/attention.h"
#include "kernels/workspace.h"

static size_t qkv_size(const struct decoder_config *config, size_t tokens)
{
    return cache_lines(tokens * (query_size(config) + 2 * key_value_size(config)));
}

size_t attention_block_workspace_size(const struct decoder_config *config, size_t tokens)
{
    return qkv_size(config, tokens) + cache_lines(attention_workspace_size(tokens));
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

bool attention_block(const struct pass *pass)
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
