// allocation.h - where the sparsity of a variant goes: the same for all layers, by outliers (OWL), by medians
// (DLP), or as `prune.ratios` says (kernels/METHOD.md §5).
//
// OWL and DLP look at all layers of the dense model first (outlier_counts.h, median_scores.h); the targets
// follow from their files.
#pragma once
#include "stages/layer/layer_weights.h"

// targets[layers] <- the sparsity of every layer's linears that have no ratio of their own:
// variant->sparsity, or the target that follows from the files of the allocation. Not collective.
// STATUS_DAMAGED names a file that its stage cannot have written.
enum status allocation_targets(double *targets, const struct settings *settings,
                               const struct variant *variant, size_t layers, struct error *err);

// Collective: the target of one layer, read by rank 0.
enum status allocation_target(double *target, const struct stage *stage, const struct variant *variant,
                              size_t layer, struct error *err);

// The sparsity of a linear whose layer has this target.
double linear_sparsity(const struct settings *settings, double target, size_t layer, const char *linear);

// STATUS_USAGE "JOB:LINE: prune.ratios: ..." for a pattern that fits no linear which is pruned, and
// "JOB:LINE: prune.skip: ..." for one that fits no linear at all. Not collective.
enum status allocation_check(const struct model *model, const struct settings *settings, const char *job,
                             struct error *err);
