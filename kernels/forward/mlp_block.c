#include "kernels/forward/mlp_block.h"
#include "kernels/forward/experts.h"
#include "kernels/workspace.h"

#include <string.h>

size_t mlp_block_workspace_size(const struct decoder_config *config, size_t tokens)
{
    const size_t intermediate = larger(config->intermediate_size, config->shared_expert_intermediate_size);
    const size_t dense = feed_forward_workspace_size(intermediate, !config->mlp_without_gate, tokens);

    if (config->num_experts == 0)
        return dense;
    const size_t experts = experts_workspace_size(config->num_experts, config->num_experts_per_tok,
                                                  config->hidden_size, config->moe_intermediate_size, tokens);
    const size_t beside = config->experts_beside_mlp ? 2 * cache_lines(tokens * config->hidden_size) : 0;
    return larger(dense, beside + experts);
}

// The layer's MLP or shared expert.
static struct feed_forward dense_part(const struct pass *pass)
{
    const struct decoder_layer *layer = pass->layer;
    const size_t intermediate = layer->gate_up.out / 2;
    struct feed_forward mlp = {.gate = layer->gate,
                               .up = layer->up,
                               .down = layer->down,
                               .activation = pass->config->activation,
                               .xielu = layer->xielu};

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

// Adds what the experts make of pass->input to out[T, hidden]. router_input NULL: the router reads that as
// well.
static bool mix_experts(const struct pass *pass, bool beside_shared, float *out, const float *router_input,
                        float *workspace)
{
    const struct decoder_config *config = pass->config;
    const struct decoder_layer *layer = pass->layer;
    const struct experts experts = {
        .router_input = router_input,
        .router = {.linear = layer->router,
                   .correction = layer->router_correction,
                   .expert_scale = layer->router_expert_scale,
                   .num_experts = config->num_experts,
                   .num_experts_per_tok = config->num_experts_per_tok,
                   .routing = config->routing},
        .first = {.gate = layer->expert_gate,
                  .up = layer->expert_up,
                  .down = layer->expert_down,
                  .activation = config->activation,
                  .swiglu = config->swiglu},
        .stride = layer->expert_stride,
    };

    const size_t first = beside_shared ? SOURCE_EXPERTS_BESIDE_SHARED : SOURCE_EXPERTS;

    return experts_forward(out, &experts, pass->input, pass->tokens, workspace, pass->observer,
                           first + latent_sources(config));
}

// Adds to pass->delta, the MLP's output through its norm, that of the experts through theirs. They read the
// residual stream themselves.
static bool mix_beside_mlp(const struct pass *pass)
{
    const struct decoder_layer *layer = pass->layer;
    const size_t size = pass->tokens * pass->config->hidden_size;
    float *mixed = pass->inner, *router_input = mixed + cache_lines(size);

    normalise(pass, pass->delta, pass->delta, &layer->dense_output_norm);
    normalise(pass, router_input, pass->hidden, &layer->router_norm);
    for (size_t i = 0; i < size; i++)
        router_input[i] *= pass->config->router_input_scale;
    normalise(pass, pass->input, pass->hidden, &layer->experts_norm);
    memset(mixed, 0, size * sizeof *mixed);
    if (!mix_experts(pass, true, mixed, router_input, router_input + cache_lines(size)))
        return false;
    normalise(pass, mixed, mixed, &layer->experts_output_norm);
    for (size_t i = 0; i < size; i++)
        pass->delta[i] += mixed[i];
    return true;
}

bool mlp_block(const struct pass *pass)
{
    const struct decoder_layer *layer = pass->layer;
    const struct feed_forward dense = dense_part(pass);

    if (dense.up.weight == NULL)
        memset(pass->delta, 0, pass->tokens * pass->config->hidden_size * sizeof(float));
    else if (!feed_forward(pass->delta, &dense, pass->input, pass->tokens, pass->inner, pass->observer,
                           source_number(pass->config, SOURCE_MLP)))
        return false;
    if (layer->shared_expert_gate.weight != NULL)
        gate_shared_expert(pass);
    if (pass->config->experts_beside_mlp && layer->router.weight != NULL) {
        if (!mix_beside_mlp(pass))
            return false;
    } else if (layer->router.weight != NULL &&
               !mix_experts(pass, dense.up.weight != NULL, pass->delta, NULL, pass->inner)) {
        return false;
    }
    if (norm_is_there(&layer->output_norm))
        normalise(pass, pass->delta, pass->delta, &layer->output_norm);
    return true;
}
