// diagnostics_means.h - what a diagnostics.json says, in a few numbers.
#pragma once
#include <jansson.h>

enum { DIAGNOSTICS_MEANS = 4 };
extern const char *const diagnostics_mean_names[DIAGNOSTICS_MEANS];

// Means over all layers: {"adjacent", "query_key", "value_output", "commutator"}, those of them that there
// are. New reference.
json_t *diagnostics_means(const json_t *result);
