// allocation.h - where the sparsity of a variant goes: the same for all layers, by outliers (OWL), by medians
// (DLP), by curves that were measured, or as `prune.ratios` says (kernels/METHOD.md §5).
//
// OWL, DLP and measuring look at all layers of the dense model first (outlier_counts.h, median_scores.h,
// curves.h); the targets follow from their files.
#pragma once
#include "stages/layer/layer_weights.h"

// targets[layers] <- the sparsity of every layer's linears that have no ratio of their own:
// variant->sparsity, or the target that follows from the files of the allocation. With ALLOCATION_MEASURED,
// which is of linears (allocation_of_layer), it is variant->sparsity. Not collective. STATUS_DAMAGED names a
// file that its stage cannot have written.
enum status allocation_targets(double *targets, const struct settings *settings,
                               const struct variant *variant, size_t layers, struct error *err);

// targets[map->num_tensors] <- the sparsity of every linear of a layer, whether it comes from its layer, from
// its curve (measured_allocation.h) or from a ratio; of other tensors it means nothing. Collective; rank 0
// reads.
enum status allocation_of_layer(double *targets, const struct stage *stage, const struct variant *variant,
                                const struct layer_map *map, struct error *err);

// The sparsity of a linear whose layer has this target.
double linear_sparsity(const struct settings *settings, double target, size_t layer, const char *linear);

// STATUS_USAGE "JOB:LINE: prune.ratios: ..." for a pattern that fits no linear which is pruned, and
// "JOB:LINE: prune.skip: ..." for one that fits no linear at all. Not collective.
enum status allocation_check(const struct model *model, const struct settings *settings, const char *job,
                             struct error *err);
