#include "kernels/forward/per_layer_block.h"
#include "kernels/workspace.h"

size_t per_layer_block_workspace_size(const struct decoder_config *config, size_t tokens)
{
    const size_t size = config->per_layer_size;

    if (size == 0)
        return 0;
    return cache_lines(tokens) + 2 * cache_lines(tokens * size) +
           per_layer_input_workspace_size(size, config->hidden_size, tokens);
}

// The ids that the tokens' states hold.
static void read_ids(int32_t *ids, const struct pass *pass)
{
    const float *id = pass->state + pass->config->hidden_size;

    for (size_t t = 0; t < pass->tokens; t++)
        ids[t] = (int32_t)id[t * state_size(pass->config)];
}

bool per_layer_block(const struct pass *pass)
{
    const struct decoder_config *config = pass->config;
    const struct decoder_layer *layer = pass->layer;
    const size_t size = config->per_layer_size, tokens = pass->tokens;
    int32_t *ids = (int32_t *)(void *)pass->inner;
    float *gate = pass->inner + cache_lines(tokens), *input = gate + cache_lines(tokens * size);

    if (!notify_observer(pass->observer, source_number(config, SOURCE_PER_LAYER_GATE), pass->hidden, tokens,
                         config->hidden_size))
        return false;
    linear_forward(gate, size, &layer->per_layer_gate, pass->hidden, tokens);
    read_ids(ids, pass);
    per_layer_input_forward(input, &layer->per_layer_input, ids, tokens, input + cache_lines(tokens * size));
    activation_gate(gate, size, input, size, tokens, size, config->activation);
    if (!notify_observer(pass->observer, source_number(config, SOURCE_PER_LAYER_PROJECTION), gate, tokens,
                         size))
        return false;
    linear_forward(pass->delta, config->hidden_size, &layer->per_layer_projection, gate, tokens);
    normalise(pass, pass->delta, pass->delta, &layer->per_layer_norm);
    return true;
}
