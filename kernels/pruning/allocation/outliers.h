// outliers.h - where to spend sparsity: layers with more outliers among their scores are pruned less (OWL,
// Yin et al., ICML 2024; kernels/METHOD.md §5).
#pragma once
#include <stddef.h>
#include <stdint.h>

// Sum of scores[n] in double, in their order: sums of whole rows, added in the order of the rows, have the
// same bits however the rows are shared out.
double outlier_sum(const float *scores, size_t n);

// How many of scores[n] are above `limit`.
uint64_t outlier_count(const float *scores, size_t n, double limit);

// targets[layers] <- the sparsity of every layer. ratios[layers]: the share D_l of a layer's scores that are
// outliers; weights[layers]: how many weights of it are to be pruned at that sparsity (0: the layer does not
// count, and its target is `sparsity`).
//
//   targets_l = sparsity - r (D_l - mean) / max_k |D_k - mean|,  mean = sum_l weights_l D_l / sum_l weights_l
//
// so that the mean of the targets, weighted with `weights`, is `sparsity`, and none is further from it than r
// = min(range, sparsity, 1 - sparsity): the layer that differs most is exactly that far. (OWL's own program
// spreads them over a range of 2 `range` and centres on the unweighted mean, so that a target may lie
// outside.) Layers that do not differ all get `sparsity`.
void outlier_targets(double *targets, const double *ratios, const double *weights, size_t layers,
                     double sparsity, double range);
