// mlp_block.h - the MLP of a decoder layer, or its experts.
#pragma once
#include "kernels/forward/pass.h"

// Floats of pass->inner that it needs.
size_t mlp_block_workspace_size(const struct decoder_config *config, size_t tokens);
// pass->delta <- MLP and experts of pass->input. False when the observer ended the pass.
bool mlp_block(const struct pass *pass);
