// permutation.h - what coppice.json says of the order of channels.
#pragma once
#include "stages/stage.h"
#include <jansson.h>

// For a variant with prune.permute a new array with a row for each order, else NULL:
//   {"columns": "layers.0.mlp.down_proj", "rows": ["layers.0.mlp.gate_proj", "layers.0.mlp.up_proj"],
//    "kept_before": sum, "kept_after": sum, "gain": kept_after / kept_before - 1}
// where the sums are of the scores that the pattern keeps without and with the order. Not collective.
enum status permutation_describe(json_t **array, const struct stage *stage, const struct variant *variant,
                                 struct error *err);
