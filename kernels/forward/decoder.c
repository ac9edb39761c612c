#include "kernels/forward/decoder.h"
#include "kernels/forward/attention_block.h"
#include "kernels/forward/mlp_block.h"
#include "kernels/forward/per_layer_block.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <string.h>

static size_t input_size(const struct decoder_config *config, size_t tokens)
{
    const size_t mixed = larger(values_size(config), linear_attention_channels(&config->linear_attention));
    return cache_lines(tokens * larger(config->hidden_size, mixed));
}

// The residual stream, where states hold more than that.
static size_t residual_size(const struct decoder_config *config, size_t tokens)
{
    return config->carried_size != 0 ? cache_lines(tokens * config->hidden_size) : 0;
}

size_t decoder_workspace_size(const struct decoder_config *config, size_t tokens)
{
    const size_t blocks =
        larger(attention_block_workspace_size(config, tokens), mlp_block_workspace_size(config, tokens));

    return residual_size(config, tokens) + input_size(config, tokens) +
           cache_lines(tokens * config->hidden_size) +
           larger(blocks, per_layer_block_workspace_size(config, tokens));
}

// Adds pass->delta to part of the residual stream.
static void add_part(const void *context, size_t first, size_t count, size_t thread)
{
    const struct pass *pass = context;
    const float scale = pass->config->residual_scale, *delta = pass->delta + first;
    float *hidden = pass->hidden + first;

    (void)thread;
    if (scale == 0.0F) {
        for (size_t i = 0; i < count; i++)
            hidden[i] += delta[i];
        return;
    }
    for (size_t i = 0; i < count; i++)
        hidden[i] += scale * delta[i];
}

static void add(const struct pass *pass)
{
    threads_share(pass->tokens * pass->config->hidden_size, threads_grain(1), add_part, pass);
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
static bool forward_norm_after(const struct pass *pass)
{
    float *hidden = pass->hidden;
    const size_t size = pass->tokens * pass->config->hidden_size;

    memcpy(pass->input, hidden, size * sizeof *hidden);
    if (!attention_block(pass))
        return false;
    add(pass);
    normalise(pass, hidden, hidden, &pass->layer->input_norm);
    memcpy(pass->input, hidden, size * sizeof *hidden);
    if (!mlp_block(pass))
        return false;
    add(pass);
    normalise(pass, hidden, hidden, &pass->layer->post_attention_norm);
    return true;
}

// The norm before the MLP. Side by side with attention it may be the same.
static const struct norm *mlp_norm(const struct pass *pass)
{
    const struct decoder_layer *layer = pass->layer;
    const bool shared = pass->config->parallel_residual && !norm_is_there(&layer->post_attention_norm);

    return shared ? &layer->input_norm : &layer->post_attention_norm;
}

static bool forward_norm_before(const struct pass *pass)
{
    const bool parallel = pass->config->parallel_residual;
    float *hidden = pass->hidden;

    enter(pass, hidden, &pass->layer->input_norm);
    if (!attention_block(pass))
        return false;
    if (parallel)
        enter(pass, hidden, mlp_norm(pass));
    add(pass);
    if (!parallel)
        enter(pass, hidden, mlp_norm(pass));
    if (!mlp_block(pass))
        return false;
    add(pass);
    return true;
}

// The layer's output, times its scale.
static void scale_output(const struct pass *pass)
{
    for (size_t i = 0; i < pass->tokens * pass->config->hidden_size; i++)
        pass->hidden[i] *= pass->layer->output_scale[0];
}

// Copies rows of `size` floats, which lie `to_stride` and `from_stride` floats apart.
static void copy_rows(float *to, size_t to_stride, const float *from, size_t from_stride, size_t rows,
                      size_t size)
{
    for (size_t r = 0; r < rows; r++)
        memcpy(to + r * to_stride, from + r * from_stride, size * sizeof *to);
}

static void forward_hidden(const struct pass *pass)
{
    if (!(pass->config->norm_after ? forward_norm_after(pass) : forward_norm_before(pass)))
        return;
    if (pass->layer->per_layer_gate.weight != NULL) {
        if (!per_layer_block(pass))
            return;
        add(pass);
    }
    if (pass->layer->output_scale != NULL)
        scale_output(pass);
}

static void forward(struct pass *pass, float *state, float *workspace)
{
    const struct decoder_config own = with_heads(pass->config, &pass->layer->heads), *config = &own;
    const size_t hidden = config->hidden_size, row = state_size(config);

    pass->config = config;
    pass->tokens = token_tree_size(pass->tree);
    if (pass->tokens == 0)
        return;
    pass->state = state;
    pass->hidden = row != hidden ? workspace : state;
    pass->input = workspace + residual_size(config, pass->tokens);
    pass->delta = pass->input + input_size(config, pass->tokens);
    pass->inner = pass->delta + cache_lines(pass->tokens * hidden);
    if (row != hidden)
        copy_rows(pass->hidden, hidden, state, row, pass->tokens, hidden);
    forward_hidden(pass);
    if (row != hidden)
        copy_rows(state, row, pass->hidden, hidden, pass->tokens, hidden);
}

void decoder_layer_forward(const struct decoder_config *config, const struct decoder_layer *layer,
                           const struct rotary_table *rotary, float *states, size_t tokens, float *workspace,
                           const struct decoder_observer *observer)
{
    const struct token_tree sequence = {tokens, 0, NULL};
    struct pass pass = {
        .config = config, .layer = layer, .rotary = rotary, .observer = observer, .tree = &sequence};

    forward(&pass, states, workspace);
}

void decoder_layer_forward_tree(const struct decoder_config *config, const struct decoder_layer *layer,
                                const struct rotary_table *rotary, float *states,
                                const struct token_tree *tree, float *workspace)
{
    struct pass pass = {.config = config, .layer = layer, .rotary = rotary, .tree = tree};

    forward(&pass, states, workspace);
}
