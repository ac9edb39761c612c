// compensate.h - from a mask to the pruned, compensated weights of a layer: energy compensation from the
// weights alone, then output matching from the linears' outputs, and a guard over both.
#pragma once
#include "stages/layer/layer_weights.h"

// Commits weights/VARIANT/layer-l.h5: per pruned linear
//   weight              [out, in] in the model's dtype (BF16 and F16 as uint16, attribute `dtype`)
//   energy_before, energy_pruned, energy_compensated   [out] double: centred energy of each row around the
//                       original row's mean, as pruned and after energy compensation; their sums are
//                       attributes of the same names of the linear's group
//   row_gamma [out], column_gamma [in]   where that direction is on, and kept
//   output_gamma        [out] double, where outputs are matched, and kept
//   bias                [out], where the variant sets biases and the linear has one
// and, where outputs are measured (variant_measures), attributes of the linear's group:
//   energy_kept, output_kept             0 or 1, where it was asked for
//   solution_kept 0 or 1, solution_tokens, solution_steps, solution_residual     of least squares (solve.h)
//   output_error_pruned, output_error_compensated   sum |y - z|^2 / sum |y - mean y|^2 of the outputs, as
//                       pruned and in the end, over `output_error_sequences` calibration sequences: those
//                       that the guard holds out; without the guard all, of least squares the last eighth
//   layer_error_pruned, layer_error_compensated     with the guard, not of experts: the error of the layer's
//                       output on the sequences held out (stages/layer/layer_trial.h), with this
//                       linear and those that share its input as pruned, and as decided
// Rows are split over the team; the bytes do not depend on how. A weight or bias that the model's dtype
// cannot hold is STATUS_FAILED and names layer, linear, row and column: nothing is committed.
//
// The guard chooses between nothing, energy compensation, output matching and both, as far as the variant
// asks for them. It keeps the choice with which the layer's output differs least from the dense layer's on
// the sequences held out; among equals the most compensated one. The dense layer is given the pruned layer's
// hidden states or, where outputs are matched, the dense model's own. Linears that share their input are
// decided together; by then the linears before them are finished, and those after them still dense. The error
// of a linear's own outputs says too little: energy compensation that lowered it raised the perplexity of a
// small model by a fifth. Experts are judged by their own outputs; one that no held-out token reached is left
// as pruned.
//
// Output matching reads activations/dense/layer-l.h5 and the variant's own activations/VARIANT/layer-l.h5
// (l > 0), a guard without matching those of hidden_stream (stages/stage.h). Linears are matched in the order
// of their sources, each with the inputs that the finished ones before it produce.
enum status compensate_layer(const struct stage *stage, struct layer_weights *weights,
                             const struct variant *variant, size_t layer, struct error *err);

// STATUS_USAGE when the job asks for matching where there can be none: of outputs of experts, to which the
// dense and the pruned model route different tokens, or of biases where no pruned linear can have one.
// Otherwise adds to the model the biases that variants set (model_add_biases). Not collective.
enum status compensate_check(struct model *model, const struct settings *settings, struct error *err);
