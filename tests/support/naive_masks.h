// naive_masks.h - the oracle of first-order pruning: scores in double from the formulas of the method, masks
// by sorting. It shares with the program only the checkpoint's weights and the statistics file.
#pragma once
#include "tests/support/small_model.h"

// [out, in]: how important `variant`, which is neither sparsegpt nor auto, takes every weight of the linear
// to be, by statistics/dense/layer-l.h5. even: as if all input channels were equally active. The caller
// frees.
double *naive_scores(const struct small_model *small, const struct variant *variant, size_t layer,
                     const char *linear, bool even);
// The same of a weight and statistics that the test has; NULL: as if all input channels were equally active.
double *naive_scores_of(const struct variant *variant, const struct small_matrix *weight,
                        const struct small_statistics *statistics);

// [out, in], 1 = kept: N:M, or the floor(n * sparsity) smallest scores of every row or of the whole matrix
// pruned, of equal scores the first. The caller frees.
uint8_t *naive_mask(const double *scores, const struct small_matrix *shape, const struct variant *variant,
                    double sparsity);

// The mask file has exactly the mask that naive_scores and naive_mask give.
void assert_naive_mask(const struct small_model *small, const struct variant *variant, size_t layer,
                       const char *linear, double sparsity);
