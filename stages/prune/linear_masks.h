// linear_masks.h - the masks of one linear by first-order importance (kernels/METHOD.md §3, §4): its
// weights are scored once, and every cut takes its mask from the scores.
#pragma once
#include "stages/prune/cuts.h"
#include "stages/prune/linear_order.h"
#include "stages/prune/linear_statistics.h"

// The inputs of scoring, for all linears of a layer.
struct score_inputs {
    const struct stage *stage;
    const struct layer_weights *weights;   // the dense layer
    const struct store_reader *statistics; // of the layer; NULL: the method needs none
    // Of one linear, in place of what the two above say of it, or NULL.
    const float *given_weight; // [out, in]
    const struct linear_statistics *given_statistics;
};

// This rank's rows of a linear's masks, those of share_of.
struct linear_masks {
    size_t first, count;
    uint8_t *masks[SCORE_BATCH]; // [count, mask_row_bytes(in)] of every cut that is like no earlier one
    struct linear_order orders[SCORE_BATCH]; // of the same cuts: where the pattern takes its neighbours
    uint64_t tokens;                         // that the statistics are of; 0 without
};
// Makes the masks of cuts[count], which share their scores and neither choose nor need the Hessian, at their
// `sparsity`; cuts[k].like says which are the same. Of rows or whole matrices, as each variant's group says;
// the bits do not depend on the number of ranks. A linear whose statistics do not suffice is scored as if all
// its channels were equally active. Collective. Freed with linear_masks_free, also after an error.
enum status linear_masks_create(struct linear_masks *masks, const struct score_inputs *inputs,
                                const struct layer_tensor *tensor, const struct cut *cuts, size_t count,
                                struct error *err);
void linear_masks_free(struct linear_masks *masks);
// The order of the linear's columns for a pattern with prune.permute, from the scores of the variant's method
// (which must have factors), for methods that choose their masks themselves. Collective. Freed with
// linear_order_free, also after an error.
enum status linear_order_by_scores(struct linear_order *order, const struct score_inputs *inputs,
                                   const struct layer_tensor *tensor, const struct variant *variant,
                                   struct error *err);
// As mask_write takes them.
struct mask_rows linear_masks_rows(const struct linear_masks *masks, const struct cut *cut);
