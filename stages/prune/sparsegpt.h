// sparsegpt.h - one layer pruned with second-order information: masks and corrected weights (SparseGPT, ICML
// 2023; kernels/METHOD.md §6).
#pragma once
#include "stages/prune/cuts.h"

// Prunes every linear of the loaded `layer` that is to be pruned, for all of variants[count] (count <=
// SCORE_BATCH), and commits masks/VARIANT/layer-l.h5 of each: per linear "mask" as score_layer does, and
// "update", float32 [out, in]: the weights after the corrections, 0 where pruned. compensate_layer takes them
// in place of the dense ones. "update" has the attributes "damping" (the share of H's mean diagonal that was
// added) and "dead_channels". Reads hessians/STREAM/layer-l.h5. When H is not positive definite the damping
// is raised tenfold, and the stage's notice says so; after three raises it is an error. H is factored once
// for all variants; those with the same mask share the work.
//
// As in the authors' program, the smallest scores of a block of 128 columns of all rows are pruned, including
// the one at index floor(scores * sparsity) in ascending order and its equals (sparsity 0 prunes nothing).
// With variant->permute the blocks and groups of columns are taken in the order of the linear
// (linear_order.h), which comes from statistics/STREAM/layer-l.h5. variant->group has no effect. One rank of
// each node factors H, in memory that the node shares; rows are split over the team.
enum status sparsegpt_layer(const struct stage *stage, const struct layer_weights *weights,
                            const struct variant *const *variants, size_t count, size_t layer,
                            struct error *err);
