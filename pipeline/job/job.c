#include "pipeline/job/job.h"
#include "pipeline/job/read.h"
#include "pipeline/job/tasks.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_VARIANTS = 4096 }; // more is a slip in a list, and their names are compared pair by pair

// ---- single values -------------------------------------------------------------------------------------

static bool is_given(const struct job_values *values, enum job_key key)
{
    return values->of[key].line != 0;
}

// Moves a text out of the values; NULL when it is not given.
static char *take_text(struct job_values *values, enum job_key key)
{
    char *text = NULL;
    if (is_given(values, key)) {
        text = values->of[key].items[0].text;
        values->of[key].items[0].text = NULL;
    }
    return text;
}

static uint64_t whole_or(const struct job_values *values, enum job_key key, uint64_t otherwise)
{
    return is_given(values, key) ? values->of[key].items[0].whole : otherwise;
}

static void take_single_values(struct settings *settings, struct job_values *values)
{
    settings->model = take_text(values, KEY_MODEL);
    settings->run = take_text(values, KEY_RUN);
    settings->output = take_text(values, KEY_OUTPUT);
    settings->corpus = take_text(values, KEY_CORPUS);
    settings->sequences = (size_t)whole_or(values, KEY_SEQUENCES, 128);
    settings->length = (size_t)whole_or(values, KEY_LENGTH, 2048);
    settings->seed = whole_or(values, KEY_SEED, 0);
    settings->keep_activations =
        is_given(values, KEY_KEEP_ACTIVATIONS) && values->of[KEY_KEEP_ACTIVATIONS].items[0].flag;
    settings->propagation = PROPAGATION_PRUNED;
    if (is_given(values, KEY_PROPAGATION))
        settings->propagation = (enum propagation)values->of[KEY_PROPAGATION].items[0].choice;
    settings->perplexity = take_text(values, KEY_PERPLEXITY);
    settings->evaluate_length = (size_t)whole_or(values, KEY_EVALUATE_LENGTH, settings->length);
}

static enum status take_skip(struct settings *settings, struct job_values *values, struct error *err)
{
    struct job_value *skip = &values->of[KEY_SKIP];

    FORWARD_IF_ERROR(allocate(&settings->skip, skip->count, sizeof *settings->skip, "prune.skip", err));
    settings->num_skip = skip->count;
    for (size_t i = 0; i < skip->count; i++) {
        settings->skip[i] = skip->items[i].text;
        skip->items[i].text = NULL;
    }
    return STATUS_OK;
}

static enum status take_ratios(struct settings *settings, struct job_values *values, struct error *err)
{
    struct job_value *given = &values->of[KEY_RATIOS];

    FORWARD_IF_ERROR(
        allocate(&settings->ratios, given->count, sizeof *settings->ratios, "prune.ratios", err));
    settings->num_ratios = given->count;
    for (size_t i = 0; i < given->count; i++) {
        settings->ratios[i] = (struct ratio){.pattern = given->items[i].ratio.pattern,
                                             .sparsity = given->items[i].ratio.number,
                                             .line = given->items[i].ratio.line};
        given->items[i].ratio.pattern = NULL;
    }
    return STATUS_OK;
}

// What a single model was made for is its weights; of a sweep that is measured, the results.
static void decide_weights(struct settings *settings, const struct job_values *values)
{
    const bool is_measured = settings->perplexity != NULL || settings->num_tasks > 0;
    settings->keep_weights = is_given(values, KEY_KEEP_WEIGHTS)
                                 ? values->of[KEY_KEEP_WEIGHTS].items[0].flag
                                 : settings->num_variants == 1 || !is_measured || settings->output != NULL;
}

static enum status take_tasks(struct settings *settings, struct job_values *values, struct error *err)
{
    struct job_value *tasks = &values->of[KEY_TASKS];

    FORWARD_IF_ERROR(
        allocate(&settings->tasks, tasks->count, sizeof *settings->tasks, "evaluate.tasks", err));
    for (size_t i = 0; i < tasks->count; i++) {
        settings->tasks[settings->num_tasks++] = *tasks->items[i].task;
        free(tasks->items[i].task); // not its texts, which the settings have now
        tasks->items[i].task = NULL;
    }
    return STATUS_OK;
}

// ---- the sweep -----------------------------------------------------------------------------------------

// The dimensions of the sweep, slowest first. AMOUNT is the union of sparsity and pattern.
enum {
    METHOD,
    ALPHA,
    EPSILON,
    EXPONENT,
    AMOUNT,
    GROUP,
    ALLOCATION,
    OWL_THRESHOLD,
    OWL_RANGE,
    ENERGY,
    OUTPUT,
    BIAS,
    GUARD,
    NUM_DIMENSIONS
};

static size_t count_or_one(const struct job_values *values, enum job_key key)
{
    return is_given(values, key) ? values->of[key].count : 1;
}

static void fill_amount(struct variant *variant, const struct job_values *values, size_t index)
{
    const struct job_value *sparsity = &values->of[KEY_SPARSITY], *pattern = &values->of[KEY_PATTERN];

    variant->is_pattern = index >= sparsity->count;
    if (variant->is_pattern) {
        variant->keep = pattern->items[index - sparsity->count].pattern.keep;
        variant->of = pattern->items[index - sparsity->count].pattern.of;
    } else {
        variant->sparsity = sparsity->items[index].number;
    }
}

static double number_or(const struct job_values *values, enum job_key key, size_t index, double otherwise)
{
    return is_given(values, key) ? values->of[key].items[index].number : otherwise;
}

// The variant at one point of the sweep.
static void fill_variant(struct variant *variant, const struct job_values *values,
                         const size_t point[NUM_DIMENSIONS])
{
    *variant = (struct variant){.group = GROUP_ROW, .method = METHOD_AUTO};
    if (is_given(values, KEY_METHOD))
        variant->method = (enum method)values->of[KEY_METHOD].items[point[METHOD]].choice;
    const struct importance_parameters own = importance_defaults(variant->method);
    variant->parameters.alpha = number_or(values, KEY_ALPHA, point[ALPHA], own.alpha);
    variant->parameters.epsilon = number_or(values, KEY_EPSILON, point[EPSILON], DEFAULT_EPSILON);
    variant->parameters.exponent = number_or(values, KEY_EXPONENT, point[EXPONENT], own.exponent);
    fill_amount(variant, values, point[AMOUNT]);
    if (is_given(values, KEY_GROUP))
        variant->group = (enum group)values->of[KEY_GROUP].items[point[GROUP]].choice;
    if (is_given(values, KEY_ALLOCATION))
        variant->allocation = (enum allocation)values->of[KEY_ALLOCATION].items[point[ALLOCATION]].choice;
    variant->owl_threshold =
        number_or(values, KEY_OWL_THRESHOLD, point[OWL_THRESHOLD], DEFAULT_OWL_THRESHOLD);
    variant->owl_range = number_or(values, KEY_OWL_RANGE, point[OWL_RANGE], DEFAULT_OWL_RANGE);
    if (is_given(values, KEY_ENERGY)) {
        const unsigned directions = values->of[KEY_ENERGY].items[point[ENERGY]].directions;
        variant->energy_columns = (directions & DIRECTION_COLUMNS) != 0;
        variant->energy_rows = (directions & DIRECTION_ROWS) != 0;
    }
    // Who leaves the choice of a method to the program gets the compensation that is best with it, too.
    if (is_given(values, KEY_OUTPUT_MATCHING))
        variant->output = (enum matching)values->of[KEY_OUTPUT_MATCHING].items[point[OUTPUT]].choice;
    else if (!is_given(values, KEY_METHOD) && !is_given(values, KEY_ENERGY))
        variant->output = MATCHING_MIXED;
    variant->bias = is_given(values, KEY_BIAS) && values->of[KEY_BIAS].items[point[BIAS]].flag;
    variant->guard = !is_given(values, KEY_GUARD) || values->of[KEY_GUARD].items[point[GUARD]].flag;
    variant->clamp.low = number_or(values, KEY_CLAMP, 0, DEFAULT_CLAMP_LOW);
    variant->clamp.high = number_or(values, KEY_CLAMP, 1, DEFAULT_CLAMP_HIGH);
    variant->clamp.epsilon = DEFAULT_EPSILON;
    variant_normalise(variant);
    variant_name(variant);
}

static bool is_known(const struct settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->num_variants; i++)
        if (strcmp(settings->variants[i].name, name) == 0)
            return true;
    return false;
}

// point <- the next one, the last dimension fastest. False after the last.
static bool next_point(size_t point[NUM_DIMENSIONS], const size_t counts[NUM_DIMENSIONS])
{
    for (size_t d = NUM_DIMENSIONS; d-- > 0;) {
        if (++point[d] < counts[d])
            return true;
        point[d] = 0;
    }
    return false;
}

static enum status expand(struct settings *settings, const struct job_values *values, const char *path,
                          struct error *err)
{
    const size_t counts[NUM_DIMENSIONS] = {
        [METHOD] = count_or_one(values, KEY_METHOD),
        [ALPHA] = count_or_one(values, KEY_ALPHA),
        [EPSILON] = count_or_one(values, KEY_EPSILON),
        [EXPONENT] = count_or_one(values, KEY_EXPONENT),
        [AMOUNT] = values->of[KEY_SPARSITY].count + values->of[KEY_PATTERN].count,
        [GROUP] = count_or_one(values, KEY_GROUP),
        [ALLOCATION] = count_or_one(values, KEY_ALLOCATION),
        [OWL_THRESHOLD] = count_or_one(values, KEY_OWL_THRESHOLD),
        [OWL_RANGE] = count_or_one(values, KEY_OWL_RANGE),
        [ENERGY] = count_or_one(values, KEY_ENERGY),
        [OUTPUT] = count_or_one(values, KEY_OUTPUT_MATCHING),
        [BIAS] = count_or_one(values, KEY_BIAS),
        [GUARD] = count_or_one(values, KEY_GUARD),
    };
    size_t point[NUM_DIMENSIONS] = {0}, points = 1;

    for (size_t d = 0; d < NUM_DIMENSIONS; d++) {
        RETURN_ERROR_IF(counts[d] > MOST_VARIANTS / points, err, STATUS_USAGE,
                        "%s: prune: the lists make more than %d variants, split the job", path,
                        MOST_VARIANTS);
        points *= counts[d];
    }
    FORWARD_IF_ERROR(allocate(&settings->variants, points, sizeof *settings->variants, "variants", err));
    do {
        struct variant *variant = &settings->variants[settings->num_variants];
        fill_variant(variant, values, point);
        if (!is_known(settings, variant->name))
            settings->num_variants++;
    } while (next_point(point, counts));
    return STATUS_OK;
}

// ---- what one key alone cannot tell ---------------------------------------------------------------------

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

// Two keys that must name different directories; a later one that is not given is fine.
static enum status check_different(const struct job_values *values, enum job_key first, enum job_key second,
                                   const char *path, struct error *err)
{
    if (is_given(values, second) &&
        is_same_path(values->of[first].items[0].text, values->of[second].items[0].text))
        RETURN_ERROR(err, STATUS_USAGE, "%s:%zu: %s: must not be the same directory as %s", path,
                     values->of[second].line, job_key_row(second)->path, job_key_row(first)->path);
    return STATUS_OK;
}

// N of every M is one sparsity for all layers: nothing else can be asked of a pattern.
static enum status check_allocation(const struct job_values *values, const char *path, struct error *err)
{
    const struct job_value *allocation = &values->of[KEY_ALLOCATION], *ratios = &values->of[KEY_RATIOS];
    bool uniform = !is_given(values, KEY_ALLOCATION), owl = false;

    for (size_t i = 0; i < allocation->count; i++) {
        uniform = uniform || allocation->items[i].choice == ALLOCATION_UNIFORM;
        owl = owl || allocation->items[i].choice == ALLOCATION_OWL;
    }
    RETURN_ERROR_IF(is_given(values, KEY_PATTERN) && !uniform, err, STATUS_USAGE,
                    "%s:%zu: prune.allocation: a pattern N:M has the same sparsity in every layer: owl needs "
                    "prune.sparsity, or uniform beside it for the patterns",
                    path, allocation->line);
    RETURN_ERROR_IF(is_given(values, KEY_PATTERN) && ratios->count > 0, err, STATUS_USAGE,
                    "%s:%zu: prune.ratios: a pattern N:M has the same sparsity everywhere: ratios need "
                    "prune.sparsity instead of prune.pattern",
                    path, ratios->line);
    for (enum job_key key = KEY_OWL_THRESHOLD; key <= KEY_OWL_RANGE; key++)
        RETURN_ERROR_IF(is_given(values, key) && !owl, err, STATUS_USAGE,
                        "%s:%zu: %s: means something with prune.allocation: owl only", path,
                        values->of[key].line, job_key_row(key)->path);
    return STATUS_OK;
}

static enum status check_together(const struct job_values *values, const char *path, struct error *err)
{
    const struct job_value *clamp = &values->of[KEY_CLAMP];

    RETURN_ERROR_IF(is_given(values, KEY_CLAMP) && clamp->items[0].number > clamp->items[1].number, err,
                    STATUS_USAGE, "%s:%zu: compensate.clamp: low must not be above high", path, clamp->line);
    RETURN_ERROR_IF(
        is_given(values, KEY_KEEP_WEIGHTS) && !values->of[KEY_KEEP_WEIGHTS].items[0].flag &&
            is_given(values, KEY_OUTPUT),
        err, STATUS_USAGE,
        "%s:%zu: compensate.keep_weights: must be true where there is output, which is made of them", path,
        values->of[KEY_KEEP_WEIGHTS].line);
    FORWARD_IF_ERROR(check_allocation(values, path, err));
    FORWARD_IF_ERROR(check_different(values, KEY_MODEL, KEY_RUN, path, err));
    FORWARD_IF_ERROR(check_different(values, KEY_MODEL, KEY_OUTPUT, path, err));
    return check_different(values, KEY_RUN, KEY_OUTPUT, path, err);
}

// ---- the whole -----------------------------------------------------------------------------------------

static enum status build(struct settings **settings, struct job_values *values, const char *path,
                         struct error *err)
{
    FORWARD_IF_ERROR(check_together(values, path, err));
    FORWARD_IF_ERROR(allocate(settings, 1, sizeof **settings, "the job", err));
    take_single_values(*settings, values);
    FORWARD_IF_ERROR(take_skip(*settings, values, err));
    FORWARD_IF_ERROR(take_ratios(*settings, values, err));
    FORWARD_IF_ERROR(take_tasks(*settings, values, err));
    FORWARD_IF_ERROR(expand(*settings, values, path, err));
    decide_weights(*settings, values);
    return STATUS_OK;
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
    free(settings->model);
    free(settings->run);
    free(settings->output);
    free(settings->corpus);
    for (size_t i = 0; i < settings->num_skip; i++)
        free(settings->skip[i]);
    free(settings->skip);
    for (size_t i = 0; i < settings->num_ratios; i++)
        free(settings->ratios[i].pattern);
    free(settings->ratios);
    free(settings->variants);
    free(settings->perplexity);
    for (size_t i = 0; i < settings->num_tasks; i++)
        task_settings_free(&settings->tasks[i]);
    free(settings->tasks);
    free(settings);
}
