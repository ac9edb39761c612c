// diagnose.h - how the linears of a layer are aligned with one another, dense or pruned, from the weights
// alone. Formulas and their sources: kernels/pruning/diagnostics.h.
#pragma once
#include "stages/layer/layer_weights.h"
#include <jansson.h>

// Largest k of a comparison between whole linears.
enum { DIAGNOSE_MOST = 64 };

// Loads `layer` (variant NULL: of the dense model) and measures it; the measurements are dealt out over the
// team. On every rank *result is a new reference:
//
// {"layer": l,
//  "adjacent": [{"from", "to", "dimension", "k", "overlap", "chance"}...]
//      the k leading output directions (left singular vectors) of `from` compared with the k leading input
//      directions (right) of `to`, in the space where they meet: v-o (without grouped heads), o-gate, o-up,
//      gate-down, up-down; k = a quarter of the smallest side, 1 to DIAGNOSE_MOST; chance = k / dimension
//  "heads": {"k", "chance", "query_key": [of each query head], "value_output": [...]}
//      in the space of the head: output directions of its query and of its key, before rotation; output
//      directions of its value and input directions of its columns of o; k = half of the head's dimensions
//  "commutators": [{"a", "b", "magnitude"}...]} of all pairs of square linears of one size
//
// Members are left out where the layer has no such linears. Experts are not looked at.
enum status diagnose_layer(json_t **result, const struct stage *stage, struct layer_weights *weights,
                           const struct variant *variant, size_t layer, struct error *err);
