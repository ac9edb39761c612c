// compensate.h - from a mask to the pruned, compensated weights of a layer: energy compensation from the
// weights alone, then output matching from what the linears put out, and a guard over both.
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
// and, where outputs are measured (guard.h), attributes of the linear's group:
//   energy_kept, output_kept             0 or 1, where it was asked for
//   output_error_pruned, output_error_compensated   sum |y - z|^2 / sum |y - mean y|^2 of the outputs, as
//                       pruned and in the end, over `output_error_sequences` calibration sequences: those
//                       that the guard holds out, without it all
//   layer_error_pruned, layer_error_compensated     with the guard, of what is no expert: what the layer's
//                       output lacks on the sequences held out (layer_trial.h) with this linear and those
//                       that share its input as pruned, and as decided
// Rows are split over the team; the bytes do not depend on how. A weight or bias that the model's dtype
// cannot hold is STATUS_FAILED and names layer, linear, row and column: nothing is committed.
//
// The guard keeps of nothing, energy compensation, output matching and both (as far as asked for) that with
// which the layer's output differs least from the dense layer's on the sequences held out; among equals the
// most compensated. The dense layer gets what the pruned one gets or, where outputs are matched, the dense
// model's own hidden states. Linears that share their input are decided together, those before them
// finished, those behind still dense. An error of a linear's own outputs says too little: energy compensation
// that lowered those raised the perplexity of a small model by a fifth. Experts are judged by their own
// outputs; one that no held-out token reached is left as pruned.
//
// Output matching reads activations/dense/layer-l.h5 and the variant's own activations/VARIANT/layer-l.h5
// (l > 0), a guard without matching those of hidden_stream (stage.h). Linears are matched in the order of
// their statistics sources, each with the inputs that the finished ones before it produce.
enum status compensate_layer(const struct stage *stage, struct layer_weights *weights,
                             const struct variant *variant, size_t layer, struct error *err);

// STATUS_USAGE when the job asks for matching where it cannot be: outputs of experts, which the two streams
// give other tokens; biases where no pruned linear can have one. Otherwise gives the model the biases that
// variants set (model_add_biases). Not collective.
enum status compensate_check(struct model *model, const struct settings *settings, struct error *err);
