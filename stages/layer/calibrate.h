// calibrate.h - one layer's statistics (kernels/METHOD.md §2), and the hidden states that enter the next
// (§12).
#pragma once
#include "stages/layer/layer_weights.h"

// Passes every sequence that enters `layer` in `stream` through the dense layer and commits
// statistics/STREAM/layer-l.h5. With `advance` the outputs, too, are committed, as
// activations/STREAM/layer-(l+1).h5, before the statistics: that is dense propagation. With `hessian`
// hessians/STREAM/layer-l.h5 is committed before them, too (hessian.h). weights is loaded as
// needed.
enum status calibrate_layer(const struct stage *stage, struct layer_weights *weights, const char *stream,
                            size_t layer, bool hessian, bool advance, struct error *err);

// Passes every sequence through the layer as `variant` pruned it (NULL: the dense layer) and commits
// activations/STREAM/layer-(l+1).h5.
enum status propagate_layer(const struct stage *stage, struct layer_weights *weights, const char *stream,
                            size_t layer, const struct variant *variant, struct error *err);
