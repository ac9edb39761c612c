// linear_record.h - facts about one pruned linear, from the files of its layer, for results.
#pragma once
#include "io/store/store.h"
#include <jansson.h>

// Attributes of an object, to be copied into a JSON object. After the first failure nothing more is done:
// status and err say why. A missing attribute is left out and is no failure.
struct attribute_copy {
    json_t *record;
    const struct store_reader *reader;
    const char *object;
    enum status status;
    struct error *err; // may be NULL
};
void attribute_copy_real(struct attribute_copy *copy, const char *key, const char *attribute);
void attribute_copy_count(struct attribute_copy *copy, const char *key, const char *attribute);
void attribute_copy_text(struct attribute_copy *copy, const char *key, const char *attribute);

// Adds these members to record where the files have them (masks, weights: the variant's files of the layer,
// or NULL):
//   "choice": {"method", "activation_exponent", "alpha", "measured", "error", "candidates": {NAME: error}}
//             of the method auto (stages/prune/auto.h)
//   "energy_kept", "output_kept": true or false, "output_error_pruned", "output_error_compensated",
//   "output_error_sequences", "layer_error_pruned", "layer_error_compensated"
//             where compensation was measured (stages/compensate/compensate.h)
//   "solution_kept": true or false, "solution_tokens", "solution_steps", "solution_residual"
//             where least squares solved for the weights
// Not collective.
enum status linear_record_add(json_t *record, const struct store_reader *masks,
                              const struct store_reader *weights, const char *linear, struct error *err);
