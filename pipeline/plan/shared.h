// shared.h - what a choice of variants needs of the files that all variants share.
#pragma once
#include "pipeline/plan/plan.h"

// Adds to chosen[num_units] the dense model's units, of `stages` (bit set of enum stage_kind), whose files
// the chosen units that are not done read, and that are not there: the calibration with dense propagation or
// for an allocation, the dense loss for a budget. Looks at the file system. Returns how many it added.
size_t shared_add(uint8_t *chosen, const struct plan *plan, unsigned stages);
