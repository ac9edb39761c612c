// choose.h - the method auto: for each linear that importance of candidates.h whose mask is measured to
// change the model least (kernels/METHOD.md §7).
#pragma once
#include "stages/layer/layer_weights.h"

// Prunes every linear of the loaded `layer` that is to be pruned and commits masks/VARIANT/layer-l.h5 as
// score_layer does. Candidates are tried on the calibration sequences held out (guard.h), from the hidden
// states that the statistics are of, with forward passes only:
// * Linears that share their input (query, key and value; gate and up) take one candidate: that with which
//   the layer's output differs least from the dense layer's (layer_trial.h), the linears before them already
//   pruned, those behind still dense. The output weighs the linears against each other, and knows what
//   attention and gates make of their errors; each linear's own outputs do not, and chose worse.
// * Experts, which are many and see few tokens, each take the one whose mask changes their own outputs least
//   (measure.h). One that no held-out token reached takes the default, wanda.
//
// "mask" has, beside the usual, the attributes
//   method, activation_exponent, alpha    the choice: "wanda", 0.5, 0
//   measured                              "layer", "linear" or "nothing": whose output was looked at
//   candidate_error                       relative squared error of that output with the choice: the layer's
//                                         beside what the layer adds, the linear's beside its variance
//   candidate_error_NAME                  the same with each candidate
enum status choose_layer(const struct stage *stage, const struct layer_weights *weights,
                         const struct variant *variant, size_t layer, struct error *err);

// Bytes of masks that a rank tries at a time. group: bytes of one mask of all linears with one input, the
// most of a layer; experts, expert: of all experts' linears together, and of the largest.
uint64_t choose_memory(uint64_t group, uint64_t experts, uint64_t expert);
