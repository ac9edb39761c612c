#include "kernels/forward/attention_block.h"
#include "kernels/forward/attention.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <string.h>

// The channels of q: the queries, and their gates.
static size_t q_size(const struct decoder_config *config)
{
    return (config->gated_attention ? 2 : 1) * query_size(config);
}

static size_t qkv_size(const struct decoder_config *config, size_t tokens)
{
    const bool latent = config->latent.key_value_rank != 0;
    const size_t row =
        latent ? latent_row_size(&config->latent) : q_size(config) + 2 * key_value_size(config);
    return cache_lines(tokens * row);
}

size_t attention_block_workspace_size(const struct decoder_config *config, size_t tokens)
{
    const struct attention sizes = {.num_heads = config->num_attention_heads,
                                    .head_dim = config->head_dim,
                                    .value_dim = value_head_dim(config)};
    const size_t beside =
        larger(attention_workspace_size(&sizes, tokens), latent_workspace_size(&config->latent, tokens));
    const size_t softmax = qkv_size(config, tokens) + cache_lines(beside);
    return larger(softmax, linear_attention_workspace_size(&config->linear_attention, tokens));
}

// The heads of query, key and value in pass->inner, of all tokens.
struct qkv_heads {
    struct heads query, key, value;
};

static struct qkv_heads find_heads(const struct pass *pass)
{
    const struct decoder_config *config = pass->config;
    const size_t head_dim = config->head_dim, query = q_size(config), key_value = key_value_size(config);
    const bool per_head = pass->layer->qkv.weight != NULL && config->qkv_layout == QKV_PER_HEAD;
    const struct heads all = {.tokens = pass->tokens,
                              .token_stride = per_head ? 3 * query : query + 2 * key_value,
                              .head_stride = per_head ? 3 * head_dim : head_dim};
    struct qkv_heads heads = {all, all, all};

    heads.query.num_heads = config->num_attention_heads;
    if (config->gated_attention)
        heads.query.head_stride = 2 * head_dim;
    heads.key.num_heads = heads.value.num_heads = config->num_key_value_heads;
    heads.query.data = pass->inner;
    heads.key.data = heads.query.data + (per_head ? head_dim : query);
    heads.value.data = heads.key.data + (per_head ? head_dim : key_value);
    return heads;
}

// The same in the rows of latent_project.
static struct qkv_heads find_latent_heads(const struct pass *pass)
{
    const struct latent_sizes *sizes = &pass->config->latent;
    const struct heads all = {.data = pass->inner,
                              .tokens = pass->tokens,
                              .token_stride = latent_row_size(sizes),
                              .num_heads = sizes->heads,
                              .head_stride = sizes->plain_dim + sizes->rotary_dim};
    struct qkv_heads heads = {all, all, all};

    heads.key.data += sizes->heads * all.head_stride;
    heads.value.data = heads.key.data + sizes->heads * all.head_stride + sizes->plain_dim;
    heads.value.head_stride = sizes->plain_dim + sizes->value_dim;
    return heads;
}

static bool is_grouped(const struct decoder_config *config)
{
    return config->qkv_layout == QKV_GROUPS || config->qkv_layout == QKV_GROUPS_VALUE_FIRST;
}

// Puts what the linear has group by group into blocks of queries, keys and values.
static void project_groups(const struct pass *pass, const struct qkv_heads *heads)
{
    const struct decoder_config *config = pass->config;
    const struct heads *parts[] = {&heads->query, &heads->key, &heads->value};

    for (size_t group = 0; group < config->qkv_groups; group++) {
        for (enum qkv_part part = QKV_QUERY; part <= QKV_VALUE; part++) {
            const size_t count = parts[part]->num_heads / config->qkv_groups, head = group * count;
            const struct linear rows =
                linear_slice(&pass->layer->qkv, qkv_row(config, part, head), count * config->head_dim);
            linear_forward(parts[part]->data + head * config->head_dim, parts[part]->token_stride, &rows,
                           pass->input, pass->tokens);
        }
    }
}

// Copies keys and values, which stand side by side, between the heads and the tokens' states.
static void move_shared(const struct pass *pass, const struct qkv_heads *heads)
{
    const size_t size = 2 * key_value_size(pass->config), stride = state_size(pass->config);
    float *shared = pass->state + pass->layer->key_value_place;

    for (size_t t = 0; t < pass->tokens; t++) {
        float *own = heads->key.data + t * heads->key.token_stride;
        if (pass->layer->key_value_sharing == KEY_VALUE_TAKEN)
            memcpy(own, shared + t * stride, size * sizeof *own);
        else
            memcpy(shared + t * stride, own, size * sizeof *own);
    }
}

// workspace: what attention does not need yet. False when the observer ended the pass.
static bool project(const struct pass *pass, const struct qkv_heads *heads, float *workspace)
{
    const struct decoder_layer *layer = pass->layer;
    const struct latent_attention latent = {&pass->config->latent, &layer->latent};
    const size_t stride = heads->query.token_stride;

    if (pass->config->latent.key_value_rank != 0)
        return latent_project(pass->inner, &latent, pass->input, pass->tokens, workspace, pass->observer, 1);
    if (layer->qkv.weight != NULL && is_grouped(pass->config)) {
        project_groups(pass, heads);
        return true;
    }
    if (layer->qkv.weight != NULL) {
        linear_forward(pass->inner, stride, &layer->qkv, pass->input, pass->tokens);
        return true;
    }
    linear_forward(heads->query.data, stride, &layer->q, pass->input, pass->tokens);
    if (layer->key_value_sharing == KEY_VALUE_TAKEN) {
        move_shared(pass, heads);
        return true;
    }
    linear_forward(heads->key.data, stride, &layer->k, pass->input, pass->tokens);
    if (layer->v.weight != NULL)
        linear_forward(heads->value.data, stride, &layer->v, pass->input, pass->tokens);
    else
        for (size_t t = 0; t < pass->tokens; t++)
            memcpy(heads->value.data + t * stride, heads->key.data + t * stride,
                   key_value_size(pass->config) * sizeof(float));
    return true;
}

static void clip(float *x, size_t n, float limit)
{
    for (size_t i = 0; i < n; i++) {
        x[i] = x[i] > limit ? limit : x[i];
        x[i] = x[i] < -limit ? -limit : x[i];
    }
}

// Norms the heads of query, key or value, if the layer has that norm.
static void norm_projection(const struct pass *pass, const struct heads *heads, const struct norm *norm)
{
    const struct decoder_config *config = pass->config;
    struct heads normed = *heads;
    size_t size = config->head_dim;

    if (!norm_is_there(norm))
        return;
    if (config->query_key_norm == QUERY_KEY_WHOLE) { // the heads stand side by side: one of all channels
        size *= heads->num_heads;
        normed.num_heads = 1;
    }
    norm_heads(&normed, size, norm, config->norm, config->norm_epsilon);
}

// Rotates heads whose first token is at position `start`.
static void rotate(const struct pass *pass, const struct heads *heads, size_t start)
{
    const size_t rotary_dim = pass->config->rotary_dim, offset = start * (rotary_dim / 2);
    const bool local = pass->layer->local_rotary;
    const float *cosine = (local ? pass->rotary->local_cosine : pass->rotary->cosine) + offset;
    const float *sine = (local ? pass->rotary->local_sine : pass->rotary->sine) + offset;

    struct heads turned = *heads;

    turned.data += pass->config->latent.plain_dim;
    if (pass->config->interleaved_rotary)
        rotary_forward_interleaved(&turned, rotary_dim, cosine, sine);
    else
        rotary_forward(&turned, rotary_dim, cosine, sine);
}

static void scale_tokens(const struct heads *heads, size_t head_dim, const float *scale)
{
    for (size_t t = 0; t < heads->tokens; t++)
        for (size_t h = 0; h < heads->num_heads; h++)
            for (size_t i = 0; i < head_dim; i++)
                heads->data[t * heads->token_stride + h * heads->head_stride + i] *= scale[t];
}

// Rotates the heads of query or key, norms them if that comes after, then multiplies them with
// scale[position] unless that is NULL.
static void position(const struct pass *pass, struct heads heads, const struct norm *norm, const float *scale)
{
    const struct decoder_config *config = pass->config;
    const struct token_tree *tree = pass->tree;
    const bool rotates = config->rotary_dim != 0 && !pass->layer->no_rotary;

    for (size_t run = 0; run <= tree->num_branches; run++) { // the prefix, then each branch
        const size_t start = run == 0 ? 0 : tree->prefix;
        heads.tokens = run == 0 ? tree->prefix : tree->branches[run - 1];
        if (rotates)
            rotate(pass, &heads, start);
        if (config->rotary_before_norm)
            norm_projection(pass, &heads, norm);
        if (scale != NULL)
            scale_tokens(&heads, config->head_dim, scale + start);
        heads.data += heads.tokens * heads.token_stride;
    }
}

// Attention of the whole tree: the prefix by itself, then every branch with the prefix as its past.
static void attend_tree(float *out, const struct attention *prefix, const struct token_tree *tree,
                        float *workspace)
{
    const struct attention_past past = {tree->prefix, prefix->key, prefix->value};
    const size_t out_stride = prefix->num_heads * prefix->value_dim;
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

// The heads' outputs, times the sigmoid of their gates, which follow the queries.
struct gated {
    float *out;
    const struct heads *query;
    const struct decoder_config *config;
};

static void gate_tokens(const void *context, size_t first, size_t count, size_t thread)
{
    const struct gated *gated = context;
    const struct heads *query = gated->query;
    const struct decoder_config *config = gated->config;
    const size_t head_dim = config->head_dim;

    (void)thread;
    for (size_t t = first; t < first + count; t++) {
        for (size_t h = 0; h < query->num_heads; h++) {
            const float *gate = query->data + t * query->token_stride + h * query->head_stride + head_dim;
            float *head = gated->out + t * query_size(config) + h * head_dim;
            for (size_t i = 0; i < head_dim; i++)
                head[i] *= sigmoid(gate[i]);
        }
    }
}

static void gate_heads(float *out, const struct heads *query, const struct decoder_config *config)
{
    threads_share(query->tokens, threads_grain(4 * query_size(config)), gate_tokens,
                  &(struct gated){out, query, config});
}

// Turns keys and norms values, unless an earlier layer has done so.
static void finish_key_value(const struct pass *pass, const struct qkv_heads *heads)
{
    const struct decoder_layer *layer = pass->layer;

    if (layer->key_value_sharing == KEY_VALUE_TAKEN)
        return;
    position(pass, heads->key, &layer->key_norm, NULL);
    norm_projection(pass, &heads->value, &layer->value_norm);
    if (layer->key_value_sharing == KEY_VALUE_GIVEN)
        move_shared(pass, heads);
}

// pass->input <- the input of o, from pass->input.
static bool softmax_attention(const struct pass *pass)
{
    const struct decoder_config *config = pass->config;
    const struct decoder_layer *layer = pass->layer;
    const bool latent = config->latent.key_value_rank != 0;
    const struct qkv_heads heads = latent ? find_latent_heads(pass) : find_heads(pass);
    float *scores = pass->inner + qkv_size(config, pass->tokens);

    if (!project(pass, &heads, scores))
        return false;
    if (!config->rotary_before_norm) {
        norm_projection(pass, &heads.query, &layer->query_norm);
        norm_projection(pass, &heads.key, &layer->key_norm);
    }
    if (config->clip_qkv != 0.0F)
        clip(pass->inner, pass->tokens * heads.query.token_stride, config->clip_qkv);
    position(pass, heads.query, &layer->query_norm, layer->no_query_scale ? NULL : pass->rotary->query_scale);
    finish_key_value(pass, &heads);
    const struct attention attention = {
        .num_heads = config->num_attention_heads,
        .num_key_value_heads = config->num_key_value_heads,
        .head_dim = config->head_dim,
        .value_dim = value_head_dim(config),
        .query = heads.query.data,
        .key = heads.key.data,
        .value = heads.value.data,
        .token_stride = heads.query.token_stride,
        .query_head_stride = heads.query.head_stride,
        .key_value_head_stride = heads.key.head_stride,
        .value_head_stride = heads.value.head_stride,
        .sinks = layer->sinks,
        .scale = layer->attention_scale != 0.0F ? layer->attention_scale : config->attention_scale,
        .soft_cap = config->attention_soft_cap,
        .bias = pass->rotary->bias,
        .bias_stride = pass->rotary->tokens,
        .sliding_window = layer->sliding_window,
        .chunk = layer->attention_chunk,
    };
    attend_tree(pass->input, &attention, pass->tree, scores);
    if (config->gated_attention)
        gate_heads(pass->input, &heads.query, config);
    return true;
}

bool attention_block(const struct pass *pass)
{
    const struct decoder_config *config = pass->config;
    const struct decoder_layer *layer = pass->layer;
    const struct linear_attention *recurrent = &layer->linear_attention;
    const bool is_linear = recurrent->out.weight != NULL;
    const struct linear *out = is_linear ? &recurrent->out : &layer->o;

    if (!notify_observer(pass->observer, SOURCE_ATTENTION, pass->input, pass->tokens, config->hidden_size))
        return false;
    if (is_linear)
        linear_attention_forward(pass->input, recurrent, &config->linear_attention, pass->input, pass->tree,
                                 pass->inner);
    else if (!softmax_attention(pass))
        return false;
    if (!notify_observer(pass->observer, source_number(config, SOURCE_ATTENTION_OUTPUT), pass->input,
                         pass->tokens, out->in))
        return false;
    linear_forward(pass->delta, config->hidden_size, out, pass->input, pass->tokens);
    if (norm_is_there(&layer->attention_output_norm))
        normalise(pass, pass->delta, pass->delta, &layer->attention_output_norm);
    return true;
}
