// calibrate.h - one layer's statistics (kernels/METHOD.md §2), and the hidden states that enter the next
// (§12).
#pragma once
#include "stages/layer/layer_weights.h"

// Files that a layer's calibration may commit before its statistics.
enum calibration_output {
    CALIBRATE_OUTPUTS = 1, // activations/STREAM/layer-(l+1).h5: the layer's outputs, for dense propagation
    CALIBRATE_HESSIAN = 2  // hessians/STREAM/layer-l.h5 (hessian.h)
};

// Passes every sequence that enters `layer` in `stream` through the dense layer and commits
// statistics/STREAM/layer-l.h5; before it the files that `also` names (enum calibration_output, or-ed).
// weights is loaded as needed.
enum status calibrate_layer(const struct stage *stage, struct layer_weights *weights, const char *stream,
                            size_t layer, unsigned also, struct error *err);

// Passes every sequence through the layer as `variant` pruned it (NULL: the dense layer) and commits
// activations/STREAM/layer-(l+1).h5.
enum status propagate_layer(const struct stage *stage, struct layer_weights *weights, const char *stream,
                            size_t layer, const struct variant *variant, struct error *err);
