// splitting.h - masks and weights of one group of linears by the alternating direction method of multipliers:
// the methods admm and alps (kernels/METHOD.md §17).
#pragma once
#include "stages/compensate/solve.h"
#include "stages/prune/cuts.h"

// A linear of the group. Its solution is W+ (solver_correct), and becomes the first guess for the weights
// that its mask keeps.
struct split_linear {
    struct pruned_linear *linear; // whose mask is filled, on every rank
    double sparsity;
    const uint32_t *order; // [in] the order in which a pattern takes its neighbours; NULL: as they are
    // This rank's rows, as share_of deals them out:
    size_t first, count;
    float *state;    // [count, in]
    uint8_t *before; // [count, mask_row_bytes(in)] the mask when it was compared last
    uint8_t *held;   // likewise, the dense model's zeros that stay (held_zeros.h)
};
// Not collective. Freed with split_linear_free, also after an error.
enum status split_linear_create(struct split_linear *split, struct pruned_linear *linear, double sparsity,
                                struct error *err);
void split_linear_free(struct split_linear *split);

// Chooses the masks of splits[count], which share the source of the solver's equations, by the variant's
// method. Collective.
enum status split_group(struct split_linear *splits, size_t count, struct solver *solver,
                        const struct variant *variant, struct error *err);
