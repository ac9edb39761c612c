// exported.h - small models pruned and exported, and what was exported. All failures end the running test.
#pragma once
#include "io/model/weights/checkpoint.h"
#include "tests/support/small_model.h"

// Collective. Calibrates, then prunes and exports all variants.
void export_all(struct small_model *small);
// DIRECTORY/output-NAME, for checkpoint_close.
struct checkpoint *open_export(const char *name);

// The run that exported what follows, and what the next function says of the job: {"job": "the job"}.
#define EXPORT_IDENTITY "0123456789abcdef"
// Collective. Exports a variant that is pruned.
void export_pruned(const struct small_model *small, const struct variant *variant);
// Collective. Opens a model, prunes half of its weights, skip's aside, which may be NULL, and exports it.
const struct variant *export_shape(struct small_model *small, const struct small_model_shape *shape,
                                   struct skip *skip);

// "DIRECTORY/name"; the caller frees.
char *path_below(const char *directory, const char *name);
