// per_layer_block.h - what a layer adds of the tokens themselves, after its MLP.
#pragma once
#include "kernels/forward/pass.h"

size_t per_layer_block_workspace_size(const struct decoder_config *config, size_t tokens);
// pass->delta <- per_layer_norm(per_layer_projection(activation(per_layer_gate(hidden)) * input)), input of
// per_layer_input.h. False when the observer ended the pass.
bool per_layer_block(const struct pass *pass);
