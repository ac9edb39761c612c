// outlier_counts.h - OWL's look at a layer: how many of its scores are far above their mean
// (kernels/METHOD.md §5).
//
// As its authors' program does, OWL looks at the dense model, whatever the propagation, and at wanda's scores
// |W_ij| sqrt(s_j), whatever the method. It counts those above `owl_threshold` times their mean over the
// layer. One unit per layer counts them and commits RUN/outliers/threshold-T/layer-l.json. Linears that are
// skipped or have a ratio of their own are left out.
#pragma once
#include "io/file/run_paths.h"
#include "stages/layer/layer_weights.h"

// The outliers of one layer.
struct layer_outliers {
    uint64_t weights; // of the layer's linears that are allocated; may be 0
    uint64_t scored;  // of these, those with a score: an expert with too few tokens has none
    uint64_t outliers;
    double mean; // of the scores
};

// The share of the scores that are outliers: D_l of kernels/pruning/allocation/outliers.h.
double outlier_ratio(const struct layer_outliers *outliers);

// Where the unit of a variant with ALLOCATION_OWL commits; the variants of one threshold share it.
void outliers_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant,
                   size_t layer);

// Collective: counts the outliers of `layer` from the dense weights and statistics/dense/layer-l.h5 and
// commits the file. Its bytes do not depend on the number of ranks.
enum status outliers_layer(const struct stage *stage, struct layer_weights *weights,
                           const struct variant *variant, size_t layer, struct error *err);

// The counts of a layer from its file. Not collective. STATUS_DAMAGED names a file that outliers_layer cannot
// have written.
enum status outliers_read(struct layer_outliers *found, const struct settings *settings,
                          const struct variant *variant, size_t layer, struct error *err);
// *layers <- how many layers the model has, by the file of layer 0. Not collective. Fails when there is none.
enum status outliers_layers(size_t *layers, const struct settings *settings, const struct variant *variant,
                            struct error *err);
