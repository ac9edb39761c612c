#include "stages/linear_record.h"

#include "kernels/candidates.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void add_real(json_t *record, const char *key, const struct store_reader *reader, const char *object,
                     const char *attribute)
{
    double value;
    // JSON has no infinities.
    if (store_read_attribute_f64(reader, object, attribute, &value, NULL) == STATUS_OK)
        json_object_set_new(record, key, isfinite(value) ? json_real(value) : json_null());
}

static void add_text(json_t *record, const char *key, const struct store_reader *reader, const char *object,
                     const char *attribute)
{
    char *value = NULL;
    if (store_read_attribute_string(reader, object, attribute, &value, NULL) == STATUS_OK)
        json_object_set_new(record, key, json_string(value));
    free(value);
}

static void add_choice(json_t *record, const struct store_reader *masks, const char *linear)
{
    json_t *choice = json_object(), *errors = json_object();
    size_t count;
    const struct importance_candidate *candidates = importance_candidates(&count);
    char object[160], attribute[160];

    snprintf(object, sizeof object, "/%s/mask", linear);
    add_text(choice, "method", masks, object, "method");
    if (json_object_size(choice) == 0) {
        json_decref(choice);
        json_decref(errors);
        return;
    }
    add_real(choice, "activation_exponent", masks, object, "activation_exponent");
    add_real(choice, "alpha", masks, object, "alpha");
    add_text(choice, "measured", masks, object, "measured");
    add_real(choice, "error", masks, object, "candidate_error");
    for (size_t k = 0; k < count; k++) {
        snprintf(attribute, sizeof attribute, "candidate_error_%s", candidates[k].name);
        add_real(errors, candidates[k].name, masks, object, attribute);
    }
    json_object_set_new(choice, "candidates", errors);
    json_object_set_new(record, "choice", choice);
}

static void add_guard(json_t *record, const struct store_reader *weights, const char *linear)
{
    static const char *const kept[] = {"energy_kept", "output_kept"};
    uint64_t value;
    char object[160];

    snprintf(object, sizeof object, "/%s", linear);
    for (size_t k = 0; k < sizeof kept / sizeof *kept; k++)
        if (store_read_attribute_u64(weights, object, kept[k], &value, NULL) == STATUS_OK)
            json_object_set_new(record, kept[k], json_boolean(value != 0));
    add_real(record, "output_error_pruned", weights, object, "output_error_pruned");
    add_real(record, "output_error_compensated", weights, object, "output_error_compensated");
    add_real(record, "layer_error_pruned", weights, object, "layer_error_pruned");
    add_real(record, "layer_error_compensated", weights, object, "layer_error_compensated");
    if (store_read_attribute_u64(weights, object, "output_error_sequences", &value, NULL) == STATUS_OK)
        json_object_set_new(record, "output_error_sequences", json_integer((json_int_t)value));
}

void linear_record_add(json_t *record, const struct store_reader *masks, const struct store_reader *weights,
                       const char *linear)
{
    if (masks != NULL)
        add_choice(record, masks, linear);
    if (weights != NULL)
        add_guard(record, weights, linear);
}
