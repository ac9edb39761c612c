// allocation_json.h - how a variant's sparsity was shared out among the layers, for results, reports and
// coppice.json.
#pragma once
#include "kernels/error.h"
#include "stages/settings.h"
#include <jansson.h>

// [{"layer", what the allocation found, "sparsity": the target}...] of a variant with an allocation, a new
// reference: "outlier_ratio" with owl, "median_score" with dlp. NULL for others, and while one of its files
// is missing or damaged (err, which may be NULL, then says which one).
json_t *allocation_to_json(const struct settings *settings, const struct variant *variant, struct error *err);
