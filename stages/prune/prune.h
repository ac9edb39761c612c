// prune.h - from a layer's weights, and what its method asks for, to its masks.
#pragma once
#include "stages/prune/cuts.h"

// Prunes every linear of `layer` that is to be pruned, for all of variants[count] (count <= SCORE_BATCH,
// which share their scores), and commits masks/VARIANT/layer-l.h5 of each: "mask" of every linear (cuts.h),
// and what the method adds to it (score.h, auto.h, sparsegpt.h). Loads the dense layer into weights. Rows are
// split over the team; the bytes depend neither on how, nor on which variants are pruned together.
enum status prune_layer(const struct stage *stage, struct layer_weights *weights,
                        const struct variant *const *variants, size_t count, size_t layer, struct error *err);

// STATUS_USAGE, naming the linear, when a pattern N:M does not divide the width of one that is pruned, and
// when prune.permute finds nothing to order. Not collective.
enum status prune_check(const struct model *model, const struct settings *settings, struct error *err);
