// linear_record.h - what the files of a layer say of one pruned linear, for results.
#pragma once
#include "io/store.h"
#include <jansson.h>

// Adds to record, as far as it is there (masks, weights: the variant's files of the layer, or NULL):
//   "choice": {"method", "activation_exponent", "alpha", "measured", "error", "candidates": {NAME: error}}
//             of the method auto (choose.h)
//   "energy_kept", "output_kept": true or false, "output_error_pruned", "output_error_compensated",
//   "output_error_sequences", "layer_error_pruned", "layer_error_compensated"
//             where compensation was measured (compensate.h)
// Not collective.
void linear_record_add(json_t *record, const struct store_reader *masks, const struct store_reader *weights,
                       const char *linear);
