#include "stages/layer/linear_record.h"

#include "io/file/run_paths.h"
#include "kernels/pruning/masks/candidates.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_there(struct attribute_copy *copy, const char *attribute)
{
    bool found = false;
    if (copy->status == STATUS_OK)
        copy->status = store_find_attribute(copy->reader, copy->object, attribute, &found, copy->err);
    return found;
}

static bool read_count(struct attribute_copy *copy, const char *attribute, uint64_t *value)
{
    if (!is_there(copy, attribute))
        return false;
    copy->status = store_read_attribute_u64(copy->reader, copy->object, attribute, value, copy->err);
    return copy->status == STATUS_OK;
}

void attribute_copy_real(struct attribute_copy *copy, const char *key, const char *attribute)
{
    double value;
    if (!is_there(copy, attribute))
        return;
    copy->status = store_read_attribute_f64(copy->reader, copy->object, attribute, &value, copy->err);
    // JSON has no infinities.
    if (copy->status == STATUS_OK)
        json_object_set_new(copy->record, key, isfinite(value) ? json_real(value) : json_null());
}

void attribute_copy_count(struct attribute_copy *copy, const char *key, const char *attribute)
{
    uint64_t value;
    if (read_count(copy, attribute, &value))
        json_object_set_new(copy->record, key, json_integer((json_int_t)value));
}

static void copy_flag(struct attribute_copy *copy, const char *key, const char *attribute)
{
    uint64_t value;
    if (read_count(copy, attribute, &value))
        json_object_set_new(copy->record, key, json_boolean(value != 0));
}

void attribute_copy_text(struct attribute_copy *copy, const char *key, const char *attribute)
{
    char *value = NULL;
    if (!is_there(copy, attribute))
        return;
    copy->status = store_read_attribute_string(copy->reader, copy->object, attribute, &value, copy->err);
    if (copy->status == STATUS_OK)
        json_object_set_new(copy->record, key, json_string(value));
    free(value);
}

static enum status add_choice(json_t *record, const struct store_reader *masks, const char *linear,
                              struct error *err)
{
    json_t *choice = json_object(), *errors = json_object();
    size_t count;
    const struct importance_candidate *candidates = importance_candidates(&count);
    char object[DATASET_PATH_SIZE], attribute[160];
    struct attribute_copy copy = {choice, masks, object, STATUS_OK, err};

    dataset_path(object, linear, DATASET_MASK);
    attribute_copy_text(&copy, "method", "method");
    if (json_object_size(choice) > 0) {
        attribute_copy_real(&copy, "activation_exponent", "activation_exponent");
        attribute_copy_real(&copy, "alpha", "alpha");
        attribute_copy_text(&copy, "measured", "measured");
        attribute_copy_real(&copy, "error", "candidate_error");
        copy.record = errors;
        for (size_t k = 0; k < count; k++) {
            snprintf(attribute, sizeof attribute, "candidate_error_%s", candidates[k].name);
            attribute_copy_real(&copy, candidates[k].name, attribute);
        }
        json_object_set(choice, "candidates", errors);
        json_object_set(record, "choice", choice);
    }
    json_decref(choice);
    json_decref(errors);
    return copy.status;
}

static enum status add_guard(json_t *record, const struct store_reader *weights, const char *linear,
                             struct error *err)
{
    char object[DATASET_PATH_SIZE];
    struct attribute_copy copy = {record, weights, object, STATUS_OK, err};

    group_path(object, linear);
    copy_flag(&copy, "energy_kept", "energy_kept");
    copy_flag(&copy, "output_kept", "output_kept");
    copy_flag(&copy, "solution_kept", "solution_kept");
    attribute_copy_count(&copy, "solution_tokens", "solution_tokens");
    attribute_copy_count(&copy, "solution_steps", "solution_steps");
    attribute_copy_real(&copy, "solution_residual", "solution_residual");
    attribute_copy_real(&copy, "output_error_pruned", "output_error_pruned");
    attribute_copy_real(&copy, "output_error_compensated", "output_error_compensated");
    attribute_copy_real(&copy, "layer_error_pruned", "layer_error_pruned");
    attribute_copy_real(&copy, "layer_error_compensated", "layer_error_compensated");
    attribute_copy_count(&copy, "output_error_sequences", "output_error_sequences");
    return copy.status;
}

enum status linear_record_add(json_t *record, const struct store_reader *masks,
                              const struct store_reader *weights, const char *linear, struct error *err)
{
    if (masks != NULL) {
        FORWARD_IF_ERROR(add_choice(record, masks, linear, err));
        FORWARD_IF_ERROR(add_guard(record, masks, linear, err)); // of a joint variant
    }
    return weights != NULL ? add_guard(record, weights, linear, err) : STATUS_OK;
}
