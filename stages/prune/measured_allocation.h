// measured_allocation.h - the sparsities that cost least by the curves of all layers (curve_file.h).
#pragma once
#include "stages/prune/curve_file.h"

struct measured_allocation {
    size_t layers;
    struct layer_curves *curves; // [layers]
    double **targets;            // [layers] of [curves[l].count]: the sparsity of each curve's linears
    double divergence;           // the sum of what all curves cost at their targets
    size_t count;                // of all curves
    double *all;                 // [count], what targets point into
};

// Reads the curves of all layers and chooses; not collective. STATUS_DAMAGED names a file that its stage
// cannot have written. Freed with measured_allocation_free, also after an error.
enum status measured_allocation_create(struct measured_allocation *allocation,
                                       const struct settings *settings, const struct variant *variant,
                                       struct error *err);
void measured_allocation_free(struct measured_allocation *allocation);
