#include "kernels/forward/decoder.h"
#include "kernels/forward/attention_block.h"
#include "kernels/forward/mlp_block.h"
#include "kernels/workspace.h"

#include <string.h>

static size_t input_size(const struct decoder_config *config, size_t tokens)
{
    const size_t mixed = larger(values_size(config), linear_attention_channels(&config->linear_attention));
    return cache_lines(tokens * larger(config->hidden_size, mixed));
}

size_t decoder_workspace_size(const struct decoder_config *config, size_t tokens)
{
    return input_size(config, tokens) + cache_lines(tokens * config->hidden_size) +
           larger(attention_block_workspace_size(config, tokens), mlp_block_workspace_size(config, tokens));
}

// Adds pass->delta to the residual stream.
static void add(const struct pass *pass, float *hidden)
{
    const size_t n = pass->tokens * pass->config->hidden_size;
    const float scale = pass->config->residual_scale;

    if (scale == 0.0F) {
        for (size_t i = 0; i < n; i++)
            hidden[i] += pass->delta[i];
        return;
    }
    for (size_t i = 0; i < n; i++)
        hidden[i] += scale * pass->delta[i];
}

// pass->input <- what attention or MLP reads of the residual stream.
static void enter(const struct pass *pass, float *hidden, const struct norm *norm)
{
    if (norm_is_there(norm) && !pass->config->norm_in_residual) {
        normalise(pass, pass->input, hidden, norm);
        return;
    }
    if (norm_is_there(norm))
        normalise(pass, hidden, hidden, norm);
    memcpy(pass->input, hidden, pass->tokens * pass->config->hidden_size * sizeof *hidden);
}

// norm(x + attention(x)), then norm(that + mlp(that)).
static void forward_norm_after(const struct pass *pass, float *hidden)
{
    const size_t size = pass->tokens * pass->config->hidden_size;

    memcpy(pass->input, hidden, size * sizeof *hidden);
    if (!attention_block(pass))
        return;
    add(pass, hidden);
    normalise(pass, hidden, hidden, &pass->layer->input_norm);
    memcpy(pass->input, hidden, size * sizeof *hidden);
    if (!mlp_block(pass))
        return;
    add(pass, hidden);
    normalise(pass, hidden, hidden, &pass->layer->post_attention_norm);
}

// The norm before the MLP. Side by side with attention it may be the same.
static const struct norm *mlp_norm(const struct pass *pass)
{
    const struct decoder_layer *layer = pass->layer;
    const bool shared = pass->config->parallel_residual && !norm_is_there(&layer->post_attention_norm);

    return shared ? &layer->input_norm : &layer->post_attention_norm;
}

static void forward_norm_before(const struct pass *pass, float *hidden)
{
    const bool parallel = pass->config->parallel_residual;

    enter(pass, hidden, &pass->layer->input_norm);
    if (!attention_block(pass))
        return;
    if (parallel)
        enter(pass, hidden, mlp_norm(pass));
    add(pass, hidden);
    if (!parallel)
        enter(pass, hidden, mlp_norm(pass));
    if (!mlp_block(pass))
        return;
    add(pass, hidden);
}

// The layer's output, times its scale.
static void scale_output(const struct pass *pass, float *hidden)
{
    for (size_t i = 0; i < pass->tokens * pass->config->hidden_size; i++)
        hidden[i] *= pass->layer->output_scale[0];
}

static void forward(struct pass *pass, float *hidden, float *workspace)
{
    const struct decoder_config own = with_heads(pass->config, &pass->layer->heads), *config = &own;

    pass->config = config;
    pass->tokens = token_tree_size(pass->tree);
    if (pass->tokens == 0)
        return;
    pass->input = workspace;
    pass->delta = pass->input + input_size(config, pass->tokens);
    pass->inner = pass->delta + cache_lines(pass->tokens * config->hidden_size);
    if (config->norm_after)
        forward_norm_after(pass, hidden);
    else
        forward_norm_before(pass, hidden);
    if (pass->layer->output_scale != NULL)
        scale_output(pass, hidden);
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
