#include "pipeline/job/job.h"
#include "pipeline/job/expected.h"
#include "pipeline/job/read.h"
#include "pipeline/job/sweep.h"

#include <stdlib.h>
#include <string.h>

// ---- checks that take several keys ---------------------------------------------------------------------

static size_t length_without_slashes(const char *path)
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    return length;
}

static bool is_same_path(const char *a, const char *b)
{
    const size_t length = length_without_slashes(a);
    return length == length_without_slashes(b) && memcmp(a, b, length) == 0;
}

// Refuses two keys that name the same directory. The second may be missing.
static enum status check_different(const struct job_values *values, enum job_key first, enum job_key second,
                                   const char *path, struct error *err)
{
    if (is_given(values, second) &&
        is_same_path(values->of[first].items[0].text, values->of[second].items[0].text))
        RETURN_ERROR(err, STATUS_USAGE, "%s:%zu: %s: must not be the same directory as %s", path,
                     values->of[second].line, job_key_row(second)->path, job_key_row(first)->path);
    return STATUS_OK;
}

// A pattern N:M is one sparsity for all layers, so that allocation and ratios contradict it.
static enum status check_allocation(const struct job_values *values, const char *path, struct error *err)
{
    const struct job_value *allocation = &values->of[KEY_ALLOCATION], *ratios = &values->of[KEY_RATIOS];
    bool uniform = !is_given(values, KEY_ALLOCATION), owl = false;

    for (size_t i = 0; i < allocation->count; i++) {
        uniform = uniform || allocation->items[i].whole == ALLOCATION_UNIFORM;
        owl = owl || allocation->items[i].whole == ALLOCATION_OWL;
    }
    RETURN_ERROR_IF(is_given(values, KEY_PATTERN) && !uniform, err, STATUS_USAGE,
                    "%s:%zu: prune.allocation: a pattern N:M has the same sparsity in every layer: owl needs "
                    "prune.sparsity, or uniform as well, for the patterns",
                    path, allocation->line);
    RETURN_ERROR_IF(is_given(values, KEY_PATTERN) && ratios->count > 0, err, STATUS_USAGE,
                    "%s:%zu: prune.ratios: a pattern N:M has the same sparsity everywhere: ratios need "
                    "prune.sparsity instead of prune.pattern",
                    path, ratios->line);
    static const enum job_key of_owl[] = {KEY_OWL_THRESHOLD, KEY_OWL_RANGE};
    for (size_t i = 0; i < sizeof of_owl / sizeof *of_owl; i++)
        RETURN_ERROR_IF(is_given(values, of_owl[i]) && !owl, err, STATUS_USAGE,
                        "%s:%zu: %s: is used with prune.allocation: owl only", path,
                        values->of[of_owl[i]].line, job_key_row(of_owl[i])->path);
    return STATUS_OK;
}

static enum status check_together(const struct job_values *values, const char *path, struct error *err)
{
    const struct job_value *clamp = &values->of[KEY_CLAMP];

    RETURN_ERROR_IF(is_given(values, KEY_CLAMP) && clamp->items->pair[0] > clamp->items->pair[1], err,
                    STATUS_USAGE, "%s:%zu: compensate.clamp: low must not be above high", path, clamp->line);
    RETURN_ERROR_IF(
        is_given(values, KEY_KEEP_WEIGHTS) && !values->of[KEY_KEEP_WEIGHTS].items[0].flag &&
            is_given(values, KEY_OUTPUT),
        err, STATUS_USAGE,
        "%s:%zu: compensate.keep_weights: must be true where there is output, which is made from them", path,
        values->of[KEY_KEEP_WEIGHTS].line);
    RETURN_ERROR_IF(
        values->of[KEY_EXPECTED].count > 0 && !is_given(values, KEY_PERPLEXITY), err, STATUS_USAGE,
        "%s:%zu: expected: is shown beside what is measured, and evaluate.perplexity is not given", path,
        values->of[KEY_EXPECTED].line);
    FORWARD_IF_ERROR(check_allocation(values, path, err));
    FORWARD_IF_ERROR(check_different(values, KEY_MODEL, KEY_RUN, path, err));
    FORWARD_IF_ERROR(check_different(values, KEY_MODEL, KEY_OUTPUT, path, err));
    return check_different(values, KEY_RUN, KEY_OUTPUT, path, err);
}

// ---- the job -------------------------------------------------------------------------------------------

static enum status take_values(struct settings *settings, struct job_values *values, struct error *err)
{
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        struct job_value *value = &values->of[i];
        if (row->home != HOME_SETTINGS)
            continue;
        if (type_is_array(row->type)) {
            FORWARD_IF_ERROR(member_store_array(row, settings, value, err));
        } else if (value->line != 0) {
            member_store(row, settings, value->items);
            if (row->type == TYPE_TEXT)
                value->items->text = NULL; // the settings' now
        } else {
            member_reset(row, settings);
        }
    }
    return STATUS_OK;
}

// Defaults that depend on other keys.
static void decide_defaults(struct settings *settings, const struct job_values *values)
{
    const bool is_measured = settings->perplexity != NULL || settings->num_tasks > 0;

    if (!is_given(values, KEY_EVALUATE_LENGTH))
        settings->evaluate_length = settings->length;
    // A single model is made for its weights, a sweep that is measured for its results.
    if (!is_given(values, KEY_KEEP_WEIGHTS))
        settings->keep_weights = settings->num_variants == 1 || !is_measured || settings->output != NULL;
}

static enum status build(struct settings **settings, struct job_values *values, const char *path,
                         struct error *err)
{
    FORWARD_IF_ERROR(check_together(values, path, err));
    FORWARD_IF_ERROR(allocate(settings, 1, sizeof **settings, "the job", err));
    FORWARD_IF_ERROR(take_values(*settings, values, err));
    FORWARD_IF_ERROR(sweep_expand(*settings, values, path, err));
    decide_defaults(*settings, values);
    return expected_check(*settings, path, err);
}

enum status job_parse(struct settings **settings, const char *text, size_t size, const char *path,
                      struct error *err)
{
    struct job_values values = {0};
    enum status status = job_values_read(&values, text, size, path, err);

    *settings = NULL;
    if (status == STATUS_OK)
        status = build(settings, &values, path, err);
    if (status != STATUS_OK) {
        settings_free(*settings);
        *settings = NULL;
    }
    job_values_free(&values);
    return status;
}

void settings_free(struct settings *settings)
{
    if (settings == NULL)
        return;
    for (size_t i = 0; i < NUM_JOB_KEYS; i++) {
        const struct job_key_row *row = job_key_row((enum job_key)i);
        if (row->home == HOME_SETTINGS)
            member_free(row, settings);
    }
    free(settings->variants);
    free(settings);
}
