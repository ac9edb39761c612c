// decoder.h - the forward pass of one decoder layer: arrays in, arrays out.
//
// Everything is float32, row-major; T = tokens of one sequence. A layer is computed a whole sequence at a
// time, with the same shapes whoever computes it, so that its bits do not depend on the number of ranks.
#pragma once
#include "kernels/forward/layer.h"
#include "kernels/forward/observer.h"
#include "kernels/forward/rotary.h"

// Floats of workspace that decoder_layer_forward needs for a sequence of `tokens`.
size_t decoder_workspace_size(const struct decoder_config *config, size_t tokens);

// states[T, state_size] <- the layer's output, in place: the hidden states, and what else the layer gives to
// later ones. observer may be NULL; one that stops the pass leaves them undefined. workspace is memory from
// an allocator, since part of it may hold integers. Workspace and weights are faster when aligned to 64
// bytes; the bits are the same anywhere.
void decoder_layer_forward(const struct decoder_config *config, const struct decoder_layer *layer,
                           const struct rotary_table *rotary, float *states, size_t tokens, float *workspace,
                           const struct decoder_observer *observer);
// The same for the row of a tree, states[tokens of prefix and branches, state_size]: each of its sequences
// comes out as if it had been computed alone, and the prefix is computed once. The workspace is for all these
// tokens; rotary has a position for each token of the longest sequence.
void decoder_layer_forward_tree(const struct decoder_config *config, const struct decoder_layer *layer,
                                const struct rotary_table *rotary, float *states,
                                const struct token_tree *tree, float *workspace);
