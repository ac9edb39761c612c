// exported.h - a small model calibrated, pruned and exported, and what was exported. All failures end the
// running test.
#pragma once
#include "io/model/checkpoint.h"
#include "tests/support/small_model.h"

// Collective. Calibrates, then prunes and exports all variants.
void export_all(struct small_model *small);
// DIRECTORY/output-NAME, for checkpoint_close.
struct checkpoint *open_export(const char *name);
