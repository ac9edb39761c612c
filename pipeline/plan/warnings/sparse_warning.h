// sparse_warning.h - says of a model that it is sparse before it is pruned.
#pragma once
#include "pipeline/plan/plan.h"
#include "pipeline/plan/warnings/warnings.h"

// A line where of the weights of linears that are pruned one in HELD_ZEROS_ONE_IN
// (kernels/pruning/masks/held_zeros.h) is zero, or more, as far as a few rows of a few layers say. Not of
// weights that are made from codes.
void sparse_warning(struct warnings *warnings, const struct model *model, const struct settings *settings);
