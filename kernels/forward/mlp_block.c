#include "kernels/forward/mlp_block.h"
#include "kernels/forward/experts.h"
#include "kernels/workspace.h"

#include <string.h>

size_t mlp_block_workspace_size(const struct decoder_config *config, size_t tokens)
{
    const size_t intermediate = larger(config->intermediate_size, config->shared_expert_intermediate_size);
    const size_t dense = feed_forward_workspace_size(intermediate, tokens);

    if (config->num_experts == 0)
        return dense;
    return larger(dense, experts_workspace_size(config->num_experts, config->num_experts_per_tok,
                                                config->hidden_size, config->moe_intermediate_size, tokens));
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

static bool mix_experts(const struct pass *pass, bool beside_shared)
{
    const struct decoder_config *config = pass->config;
    const struct decoder_layer *layer = pass->layer;
    const struct experts experts = {
        .router = {.linear = layer->router,
                   .correction = layer->router_correction,
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

    return experts_forward(pass->delta, &experts, pass->input, pass->tokens, pass->inner, pass->observer,
                           first + latent_sources(config));
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
    if (layer->router.weight != NULL && !mix_experts(pass, dense.up.weight != NULL))
        return false;
    if (norm_is_there(&layer->output_norm))
        normalise(pass, pass->delta, pass->delta, &layer->output_norm);
    return true;
}
