// attention_block.h - the attention of a decoder layer, with its linears.
#pragma once
#include "kernels/forward/pass.h"

// Floats of pass->inner that it needs.
size_t attention_block_workspace_size(const struct decoder_config *config, size_t tokens);
// pass->delta <- attention of pass->input, which is overwritten. False when the observer ended the pass.
bool attention_block(const struct pass *pass);
