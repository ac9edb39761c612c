// auto.h - the method auto: for each linear the importance, of those in kernels/pruning/masks/candidates.h,
// whose mask is measured to change the model least (kernels/METHOD.md §7).
#pragma once
#include "stages/layer/layer_weights.h"

// Prunes every linear of the loaded `layer` that is to be pruned and commits masks/VARIANT/layer-l.h5 as
// score_layer does. Candidates are tried on the calibration sequences that are held out
// (stages/layer/layer_trial.h), on the hidden states that the statistics were taken from, with forward passes
// only:
// * Linears that share their input (query, key and value; gate and up) take one candidate: the one with which
//   the layer's output differs least from the dense layer's (layer_trial.h). The linears before them are
//   pruned by then, those after them still dense. The layer's output weighs the linears against each other
//   and shows what attention and gates make of their errors. The linears' own outputs do not, and gave worse
//   choices.
// * Experts are many and see few tokens: each takes the candidate whose mask changes its own outputs least
//   (stages/layer/measure.h). An expert that no held-out token reached takes the default, wanda.
//
// "mask" has these attributes in addition to the usual ones:
//   method, activation_exponent, alpha    the choice: "wanda", 0.5, 0
//   measured                              "layer", "linear" or "nothing": whose output was measured
//   candidate_error                       squared error of that output with the choice, relative to what the
//                                         layer adds, or to the variance of the linear's output
//   candidate_error_NAME                  the same with each candidate
enum status auto_layer(const struct stage *stage, const struct layer_weights *weights,
                       const struct variant *variant, size_t layer, struct error *err);

// The most bytes of masks that a rank holds at a time. group: one mask of all linears that share an input,
// for the largest such group of a layer; experts, expert: one mask of all experts' linears together, and of
// the largest of them.
uint64_t auto_memory(uint64_t group, uint64_t experts, uint64_t expert);
