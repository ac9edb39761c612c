// compensation_record.h - the outcome of a variant's compensation, kept when its weights are not:
// RUN/results/VARIANT/compensation.json.
//
// {"variant", "linears": [{"layer", "linear", and of the weights files' attributes those that are there:
// "energy_before", "energy_pruned", "energy_compensated" and what stages/layer/linear_record.h adds}...]}
#pragma once
#include "kernels/error.h"
#include "stages/settings.h"
#include <jansson.h>

// Gathers it from weights/VARIANT/layer-l.h5 of all layers and commits it. One process. Fails where a file is
// missing or cannot be read.
enum status compensation_record_write(const struct settings *settings, const struct variant *variant,
                                      size_t layers, struct error *err);

// New reference; NULL when there is none, and when it is damaged (then err says so).
json_t *compensation_record_read(const struct settings *settings, const struct variant *variant,
                                 struct error *err);
// Borrowed: the entry of a linear, or NULL. record may be NULL.
const json_t *compensation_record_find(const json_t *record, size_t layer, const char *linear);
