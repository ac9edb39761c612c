// layer_medians.h - where to spend sparsity: layers with a lower median score are pruned less (DLP, Chen et
// al., ICML 2025; kernels/METHOD.md §5).
#pragma once
#include "kernels/pruning/masks/select.h"

// A search (kernels/pruning/masks/select.h) for the median of `count` scores, count > 0: of an even number
// the lower of the two in the middle.
void median_search_begin(struct select_search *search, uint64_t count);
// What it found, when all digits are narrowed down.
float median_search_found(const struct select_search *search);

// targets[layers] <- the sparsity of every layer. medians[layers]: the median S_l of a layer's scores;
// weights[layers]: how many weights of it are to be pruned at that sparsity (0: the layer does not count, and
// its target is `sparsity`).
//
//   I_l = 1 - S_l / sum S,  d_l = 2 alpha (I_l - min I) / (max I - min I) = 2 alpha (max S - S_l) / (max S -
//   min S) targets_l = clip(sparsity + c - d_l, 0, 1)
//
// with the c that makes the mean of the targets, weighted with `weights`, `sparsity`: where nothing is
// clipped it is the weighted mean of d. (DLP's own program takes the unweighted mean, and the mean score
// instead of the median.) Layers that do not differ all get `sparsity`.
void median_targets(double *targets, const double *medians, const double *weights, size_t layers,
                    double sparsity, double alpha);
