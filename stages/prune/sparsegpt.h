// sparsegpt.h - one layer pruned with second-order information: masks and corrected weights (SparseGPT, ICML
// 2023; kernels/METHOD.md §6).
#pragma once
#include "stages/layer/layer_weights.h"

// Prunes every linear of the loaded `layer` that is to be pruned, for all of variants[count] (count <=
// SCORE_BATCH of score.h), and commits masks/VARIANT/layer-l.h5 of each: per linear "mask" as score_layer
// does, and "update", float32 [out, in]: the weights after the corrections, 0 where pruned, which
// compensate_layer takes in place of the dense ones. "update" has the attributes "damping" (the share of H's
// mean diagonal that was added) and "dead_channels". Reads hessians/STREAM/layer-l.h5. When H is not positive
// definite the damping is raised tenfold, which is said through the stage's notice; after three times it is
// an error. H is factored once for all variants; those that prune the same share the work.
//
// As in the authors' program: the smallest scores of a block of 128 columns of all rows are pruned, the one
// at floor(scores * sparsity) and its equals included (sparsity 0 prunes nothing); variant->group means
// nothing. One rank of each node factors H, into memory that the node shares; rows are split over the team.
enum status sparsegpt_layer(const struct stage *stage, const struct layer_weights *weights,
                            const struct variant *const *variants, size_t count, size_t layer,
                            struct error *err);
