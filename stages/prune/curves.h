// curves.h - allocation by measurement: what pruning each linear alone to each level costs the model
// (kernels/METHOD.md §5).
//
// One unit per layer, independent of the others and of the propagation: it looks at the dense model. The
// last `measured_sequences` calibration sequences go through the layer with one linear pruned to one level,
// and on to the end of the model; the file (curve_file.h) holds how far the next tokens are then from the
// dense model's. Linears that are skipped or have a ratio of their own are left out; those of one name of all
// experts are pruned together.
#pragma once
#include "stages/layer/layer_weights.h"

// With least squares (curves_are_solved) the weights that the linear keeps are solved for, from the dense
// model's inputs (curve_solver.h).
//
// Collective. Reads sequences.h5 and, where they are needed, layer-l.h5 of statistics/dense and
// hessians/dense, and commits the file, whose bytes do not depend on the number of ranks.
enum status curves_layer(const struct stage *stage, struct layer_weights *weights,
                         const struct variant *variant, size_t layer, struct error *err);

// How many sequences it passes.
size_t curve_sequences(const struct settings *settings, const struct variant *variant);
