// diagnostics_means.h - a diagnostics.json summed up in a few means.
#pragma once
#include <jansson.h>

enum { DIAGNOSTICS_MEANS = 4 };
extern const char *const diagnostics_mean_names[DIAGNOSTICS_MEANS];

// Means over all layers: {"adjacent", "query_key", "value_output", "commutator"}, those of them that there
// are. New reference.
json_t *diagnostics_means(const json_t *result);
