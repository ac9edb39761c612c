// median_scores.h - DLP's look at a layer: the median of its scores (kernels/METHOD.md §5).
//
// As OWL (outlier_counts.h) it looks at the dense model and at wanda's scores, whatever the propagation and
// the method. One unit per layer finds the median and commits RUN/medians/layer-l.json. Linears that are
// skipped or have a ratio of their own are left out.
#pragma once
#include "stages/layer/layer_weights.h"

struct layer_median {
    uint64_t weights; // of the layer's linears that are allocated; may be 0
    uint64_t scored;  // of these, those with a score: an expert with too few tokens has none
    double median;    // of the scores; 0 without
};

// Collective: finds the median of `layer` from the dense weights and statistics/dense/layer-l.h5 and commits
// the file. Its bytes do not depend on the number of ranks.
enum status medians_layer(const struct stage *stage, struct layer_weights *weights, size_t layer,
                          struct error *err);

// The median of a layer from its file. Not collective. STATUS_DAMAGED names a file that medians_layer cannot
// have written.
enum status median_read(struct layer_median *found, const struct settings *settings, size_t layer,
                        struct error *err);
// *layers <- how many layers the model has, by the file of layer 0. Not collective. Fails when there is none.
enum status medians_layers(size_t *layers, const struct settings *settings, struct error *err);
