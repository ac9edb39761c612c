#include "pipeline/job/job.h"
#include "io/file/run_paths.h"
#include "pipeline/job/expected.h"
#include "pipeline/job/read.h"
#include "pipeline/job/sweep.h"
#include "stages/layer/sequences.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REFUSE_IF(condition, values, key, err, ...)                       \
    do {                                                                  \
        if (condition)                                                    \
            return job_value_refuse((values), (key), (err), __VA_ARGS__); \
    } while (0)

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
                                   struct error *err)
{
    if (is_given(values, second) &&
        is_same_path(values->of[first].items[0].text, values->of[second].items[0].text))
        return job_value_refuse(values, second, err, "must not be the same directory as %s",
                                job_key_row(first)->path);
    return STATUS_OK;
}

// Whether the job asks for the allocation, perhaps among others.
static bool allocates(const struct job_values *values, enum allocation allocation)
{
    const struct job_value *given = &values->of[KEY_ALLOCATION];
    for (size_t i = 0; i < given->count; i++)
        if (given->items[i].whole == allocation)
            return true;
    return given->count == 0 &&
           allocation == (is_given(values, KEY_BUDGET) ? ALLOCATION_MEASURED : ALLOCATION_UNIFORM);
}

// Keys that belong to one allocation.
static enum status check_allocation_keys(const struct job_values *values, struct error *err)
{
    static const struct {
        enum job_key key;
        enum allocation allocation;
    } owned[] = {{KEY_OWL_THRESHOLD, ALLOCATION_OWL},
                 {KEY_OWL_RANGE, ALLOCATION_OWL},
                 {KEY_DLP_ALPHA, ALLOCATION_DLP},
                 {KEY_MEASURED_SEQUENCES, ALLOCATION_MEASURED}};
    size_t count;
    const char *const *names = job_key_row(KEY_ALLOCATION)->choices(&count);
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        REFUSE_IF(is_given(values, owned[i].key) && !allocates(values, owned[i].allocation), values,
                  owned[i].key, err, "is used with prune.allocation: %s only", names[owned[i].allocation]);
    return STATUS_OK;
}

// The last level of stages/prune/curve_file.h.
static const double most_measured = 0.9;

// A pattern N:M is one sparsity for all layers, so that allocation and ratios contradict it.
static enum status check_allocation(const struct job_values *values, struct error *err)
{
    const struct job_value *allocation = &values->of[KEY_ALLOCATION], *ratios = &values->of[KEY_RATIOS];
    size_t count;
    const char *const *names = job_key_row(KEY_ALLOCATION)->choices(&count);

    REFUSE_IF(is_given(values, KEY_PATTERN) && !allocates(values, ALLOCATION_UNIFORM), values, KEY_ALLOCATION,
              err,
              "a pattern N:M has the same sparsity in every layer: %s needs prune.sparsity, or uniform as "
              "well, for the patterns",
              names[allocation->items[0].whole]);
    REFUSE_IF(is_given(values, KEY_PATTERN) && ratios->count > 0, values, KEY_RATIOS, err,
              "a pattern N:M has the same sparsity everywhere: ratios need prune.sparsity instead of "
              "prune.pattern");
    for (size_t i = 0; i < values->of[KEY_SPARSITY].count && allocates(values, ALLOCATION_MEASURED); i++)
        REFUSE_IF(
            values->of[KEY_SPARSITY].items[i].number > most_measured, values, KEY_SPARSITY, err,
            "must not be above %g with prune.allocation: measured, which measures no linear beyond that",
            most_measured);
    return check_allocation_keys(values, err);
}

// Least squares sets every weight that is kept, so that energy compensation has no say.
static enum status check_solving(const struct job_values *values, struct error *err)
{
    const struct job_value *energy = &values->of[KEY_ENERGY], *output = &values->of[KEY_OUTPUT_MATCHING];
    bool any = !is_given(values, KEY_ENERGY) || !is_given(values, KEY_OUTPUT_MATCHING), solves = false;

    for (size_t i = 0; i < energy->count; i++)
        any = any || (!energy->items[i].directions[0] && !energy->items[i].directions[1]);
    for (size_t i = 0; i < output->count; i++) {
        any = any || output->items[i].whole != MATCHING_LEAST_SQUARES;
        solves = solves || output->items[i].whole == MATCHING_LEAST_SQUARES;
    }
    REFUSE_IF(is_given(values, KEY_DRIFT) && !solves, values, KEY_DRIFT, err,
              "is used with compensate.output: least_squares only");
    REFUSE_IF(!any, values, KEY_ENERGY, err,
              "output: least_squares sets every weight that is kept: leave energy out");
    return STATUS_OK;
}

// A budget says how sparse the model is to be.
static enum status check_budget(const struct job_values *values, struct error *err)
{
    static const enum job_key others[] = {KEY_SPARSITY, KEY_PATTERN};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        REFUSE_IF(is_given(values, KEY_BUDGET) && is_given(values, others[i]), values, KEY_BUDGET, err,
                  "stands instead of %s: leave one of them out", job_key_row(others[i])->path);
    return STATUS_OK;
}

// Only neighbours have an order.
static enum status check_permute(const struct job_values *values, struct error *err)
{
    const struct job_value *permute = &values->of[KEY_PERMUTE];
    bool asked = false;

    for (size_t i = 0; i < permute->count; i++)
        asked = asked || permute->items[i].flag;
    REFUSE_IF(asked && !is_given(values, KEY_PATTERN), values, KEY_PERMUTE, err,
              "is used with prune.pattern only");
    return STATUS_OK;
}

static enum status check_together(const struct job_values *values, struct error *err)
{
    const struct job_value *clamp = &values->of[KEY_CLAMP];

    REFUSE_IF(is_given(values, KEY_CLAMP) && clamp->items->pair[0] > clamp->items->pair[1], values, KEY_CLAMP,
              err, "low must not be above high");
    REFUSE_IF(is_given(values, KEY_KEEP_WEIGHTS) && !values->of[KEY_KEEP_WEIGHTS].items[0].flag &&
                  is_given(values, KEY_OUTPUT),
              values, KEY_KEEP_WEIGHTS, err, "must be true where there is output, which is made from them");
    REFUSE_IF(is_given(values, KEY_OUTPUT_FORMAT) && !is_given(values, KEY_OUTPUT), values, KEY_OUTPUT_FORMAT,
              err, "means nothing without output");
    REFUSE_IF(values->of[KEY_EXPECTED].count > 0 && !is_given(values, KEY_PERPLEXITY), values, KEY_EXPECTED,
              err, "is shown beside what is measured, and evaluate.perplexity is not given");
    FORWARD_IF_ERROR(check_solving(values, err));
    FORWARD_IF_ERROR(check_budget(values, err));
    FORWARD_IF_ERROR(check_allocation(values, err));
    FORWARD_IF_ERROR(check_permute(values, err));
    FORWARD_IF_ERROR(check_different(values, KEY_MODEL, KEY_RUN, err));
    FORWARD_IF_ERROR(check_different(values, KEY_MODEL, KEY_OUTPUT, err));
    return check_different(values, KEY_RUN, KEY_OUTPUT, err);
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
        } else if (value->given) {
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
    const bool is_measured = settings->num_texts > 0 || settings->num_tasks > 0;

    if (settings->field != NULL && strcmp(settings->field, "text") == 0) { // a later start may leave it out
        free(settings->field);
        settings->field = NULL;
    }
    settings->method_is_default = !is_given(values, KEY_METHOD);
    if (!is_given(values, KEY_EVALUATE_LENGTH))
        settings->evaluate_length = settings->length;
    // A single model is made for its weights, a sweep that is measured for its results.
    if (!is_given(values, KEY_KEEP_WEIGHTS))
        settings->keep_weights = settings->num_variants == 1 || !is_measured || settings->output != NULL;
}

static enum status check_pack(const struct settings *settings, const struct job_values *values,
                              struct error *err)
{
    REFUSE_IF(settings->pack == PACK_TRUE && sequences_are_given(settings), values, KEY_PACK, err,
              "must not be true where calibration.corpus holds token ids (.h5): they are sequences already, "
              "and are taken as they are");
    return STATUS_OK;
}

// A run directory that an earlier version began goes on with settings that had no effect then either.
static bool is_begun(const struct settings *settings)
{
    char path[PATH_SIZE];
    run_file_path(path, settings->run, RUN_RECORD);
    return access(path, F_OK) == 0;
}

static bool scores_by_factors(const struct variant *variant)
{
    return method_has_factors(variant->method);
}

static bool divides_by_variance(const struct variant *variant)
{
    return variant->parameters.alpha != 0;
}

static bool looks_for_groups(const struct variant *variant)
{
    return !variant->is_pattern && !(method_needs(variant->method) & NEEDS_HESSIAN);
}

static bool is_standard(const struct job_key_row *row, const union job_item *item,
                        const struct variant *variant)
{
    const union job_item standard = member_standard(row, variant);
    return row->type == TYPE_CHOICE ? item->whole == standard.whole : item->number == standard.number;
}

// Whether a key that only some variants heed, where it is given, makes a difference to any of the job's: its
// default is not worth an error.
static bool is_of_use(const struct settings *settings, const struct job_values *values, enum job_key key,
                      bool (*takes)(const struct variant *variant))
{
    const struct job_value *value = &values->of[key];
    bool used = !is_given(values, key);

    for (size_t v = 0; v < settings->num_variants && !used; v++) {
        bool only_default = true;
        for (size_t i = 0; i < value->count && only_default; i++)
            only_default = is_standard(job_key_row(key), &value->items[i], &settings->variants[v]);
        used = only_default || takes(&settings->variants[v]);
    }
    return used;
}

static enum status check_parameters(const struct settings *settings, const struct job_values *values,
                                    struct error *err)
{
    static const struct {
        enum job_key key;
        bool (*takes)(const struct variant *variant);
        const char *what;
    } parameters[] = {
        {KEY_ALPHA, scores_by_factors, "methods that score each weight by a factor (wanda and the like)"},
        {KEY_EPSILON, divides_by_variance, "methods whose prune.alpha is not 0"},
        {KEY_EXPONENT, scores_by_factors, "methods that score each weight by a factor (wanda and the like)"},
        {KEY_GROUP, looks_for_groups, "prune.sparsity, with methods other than sparsegpt"}};

    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        REFUSE_IF(!is_of_use(settings, values, parameters[i].key, parameters[i].takes), values,
                  parameters[i].key, err, "is for %s, and the job has none of them", parameters[i].what);
    return STATUS_OK;
}

// Without the key it is as many as there are.
static enum status check_measured_sequences(const struct settings *settings, const struct job_values *values,
                                            struct error *err)
{
    const struct job_value *measured = &values->of[KEY_MEASURED_SEQUENCES];
    for (size_t i = 0; i < measured->count; i++)
        REFUSE_IF(measured->items[i].whole > settings->sequences, values, KEY_MEASURED_SEQUENCES, err,
                  "must not be above calibration.sequences, which is %zu, got %llu", settings->sequences,
                  (unsigned long long)measured->items[i].whole);
    return STATUS_OK;
}

// What says something of variants, and none of the job's is such a one.
// Codes can be made zero; they cannot take other weights, nor another order, in which blocks would have the
// scales of others.
static enum status check_source_format(const struct settings *settings, const struct job_values *values,
                                       struct error *err)
{
    for (size_t v = 0; v < settings->num_variants && settings->output_format == OUTPUT_SOURCE; v++) {
        const struct variant *variant = &settings->variants[v];
        const char *changes = method_needs(variant->method) & (NEEDS_HESSIAN | NEEDS_EQUATIONS)
                                  ? "prune.method"
                              : variant_compensates(variant) ? "compensate"
                              : variant->permute             ? "prune.permute"
                                                             : NULL;
        REFUSE_IF(changes != NULL, values, KEY_OUTPUT_FORMAT, err,
                  "source keeps codes and scales, which take zeros and nothing else; %s of the variant %s "
                  "changes more than that",
                  changes, variant->name);
    }
    return STATUS_OK;
}

static enum status check_variants(const struct settings *settings, const struct job_values *values,
                                  struct error *err)
{
    bool drifts = !is_given(values, KEY_DRIFT);

    for (size_t v = 0; v < settings->num_variants; v++)
        drifts = drifts || job_key_row(KEY_DRIFT)->applies(&settings->variants[v]);
    REFUSE_IF(!drifts, values, KEY_DRIFT, err,
              "is for methods that score each weight by a factor (wanda and the like), and the job has none "
              "of them");
    FORWARD_IF_ERROR(check_source_format(settings, values, err));
    if (is_begun(settings))
        return STATUS_OK;
    FORWARD_IF_ERROR(check_measured_sequences(settings, values, err));
    return check_parameters(settings, values, err);
}

static enum status build(struct settings **settings, struct job_values *values, const char *path,
                         struct error *err)
{
    FORWARD_IF_ERROR(check_together(values, err));
    FORWARD_IF_ERROR(allocate(settings, 1, sizeof **settings, "the job", err));
    FORWARD_IF_ERROR(take_values(*settings, values, err));
    FORWARD_IF_ERROR(check_pack(*settings, values, err));
    FORWARD_IF_ERROR(sweep_expand(*settings, values, path, err));
    FORWARD_IF_ERROR(check_variants(*settings, values, err));
    decide_defaults(*settings, values);
    return expected_check(*settings, path, err);
}

enum status job_parse_source(struct settings **settings, const char *text, size_t size,
                             const struct job_source *source, struct error *err)
{
    struct job_values values = {0};
    enum status status = job_values_read(&values, text, size, source, err);

    *settings = NULL;
    if (status == STATUS_OK)
        status = build(settings, &values, source->path, err);
    if (status != STATUS_OK) {
        settings_free(*settings);
        *settings = NULL;
    }
    job_values_free(&values);
    return status;
}

enum status job_parse(struct settings **settings, const char *text, size_t size, const char *path,
                      struct error *err)
{
    const struct job_source source = {.path = path, .variables = environment_variables};
    return job_parse_source(settings, text, size, &source, err);
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
    free(settings->hub_id);
    free(settings->hub_commit);
    free(settings->variants);
    free(settings->attempts);
    free(settings);
}
