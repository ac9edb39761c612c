// allocation_json.h - how a variant's sparsity was shared out among the layers, for results, reports and
// coppice.json.
#pragma once
#include "kernels/error.h"
#include "stages/settings.h"
#include <jansson.h>

// [{"layer", "outlier_ratio", "sparsity": the target}...] of a variant with owl, a new reference. NULL for
// others, and while an outlier file is missing or damaged (err, which may be NULL, then says which one).
json_t *allocation_to_json(const struct settings *settings, const struct variant *variant, struct error *err);
