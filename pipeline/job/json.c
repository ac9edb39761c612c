#include "pipeline/job/json.h"
#include "pipeline/job/job.h"
#include "pipeline/job/keys.h"
#include "pipeline/job/tasks.h"
#include "stages/stage.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- to JSON -------------------------------------------------------------------------------------------

static const char *group_word(enum group group)
{
    size_t count;
    return group_names(&count)[group];
}

static const char *propagation_word(enum propagation propagation)
{
    size_t count;
    return propagation_names(&count)[propagation];
}

static json_t *energy_to_json(const struct variant *variant)
{
    if (variant->energy_columns && variant->energy_rows)
        return json_pack("[s, s]", "columns", "rows");
    if (variant->energy_columns)
        return json_pack("[s]", "columns");
    return variant->energy_rows ? json_pack("[s]", "rows") : json_array();
}

static json_t *amount_to_json(const struct variant *variant)
{
    return variant->is_pattern ? json_sprintf("%zu:%zu", variant->keep, variant->of)
                               : json_real(variant->sparsity);
}

// What only some methods and compensations use. Returns 0, or -1 when memory ran out.
static int add_parameters(json_t *json, const struct variant *variant)
{
    int failed = 0;
    size_t count;
    const struct importance_parameters defaults = importance_defaults(variant->method);
    if (variant->parameters.alpha != 0 || defaults.alpha != 0) {
        failed |= json_object_set_new(json, "alpha", json_real(variant->parameters.alpha));
        failed |= json_object_set_new(json, "epsilon", json_real(variant->parameters.epsilon));
    }
    if (variant->parameters.exponent != defaults.exponent)
        failed |= json_object_set_new(json, "activation_exponent", json_real(variant->parameters.exponent));
    if (variant->allocation == ALLOCATION_OWL) {
        failed |= json_object_set_new(json, "allocation", json_string("owl"));
        failed |= json_object_set_new(json, "owl_threshold", json_real(variant->owl_threshold));
        failed |= json_object_set_new(json, "owl_range", json_real(variant->owl_range));
    }
    if (variant->output != MATCHING_OFF)
        failed |= json_object_set_new(json, "output", json_string(matching_names(&count)[variant->output]));
    if (variant->bias)
        failed |= json_object_set_new(json, "bias", json_true());
    if (variant_compensates(variant))
        failed |= json_object_set_new(json, "guard", json_boolean(variant->guard));
    if (variant->energy_columns || variant->energy_rows || variant->output != MATCHING_OFF)
        failed |=
            json_object_set_new(json, "clamp", json_pack("[f, f]", variant->clamp.low, variant->clamp.high));
    return failed;
}

json_t *variant_to_json(const struct variant *variant)
{
    json_t *json =
        json_pack("{s:s, s:s, s:o, s:s, s:o}", "name", variant->name, "method", method_name(variant->method),
                  variant->is_pattern ? "pattern" : "sparsity", amount_to_json(variant), "group",
                  group_word(variant->group), "energy", energy_to_json(variant));
    if (json != NULL && add_parameters(json, variant) != 0) {
        json_decref(json);
        json = NULL;
    }
    return json;
}

static json_t *variants_to_json(const struct settings *settings)
{
    json_t *array = json_array();
    for (size_t i = 0; i < settings->num_variants && array != NULL; i++)
        if (json_array_append_new(array, variant_to_json(&settings->variants[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

static json_t *skip_to_json(const struct settings *settings)
{
    json_t *array = json_array();
    for (size_t i = 0; i < settings->num_skip && array != NULL; i++)
        if (json_array_append_new(array, json_string(settings->skip[i])) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

// NULL when there are none, too: a job without them says what it said before there were any.
static json_t *ratios_to_json(const struct settings *settings)
{
    json_t *array = settings->num_ratios > 0 ? json_array() : NULL;
    for (size_t i = 0; i < settings->num_ratios && array != NULL; i++)
        if (json_array_append_new(
                array, json_pack("[s, f]", settings->ratios[i].pattern, settings->ratios[i].sparsity)) != 0) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

// Adds the tasks, if there are some. NULL when memory ran out.
static json_t *with_tasks(json_t *job, const struct settings *settings)
{
    json_t *list = settings->num_tasks > 0 ? json_array() : NULL;
    size_t count;

    for (size_t i = 0; i < settings->num_tasks; i++) {
        const struct task_settings *task = &settings->tasks[i];
        const char *format = task->format != TASK_RECOGNISED ? task_format_names(&count)[task->format] : NULL;
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s?, s:o, s:s?}", "name", task->name, "data", task->data,
                                        "format", format, "limit",
                                        task->limit > 0 ? json_integer((json_int_t)task->limit) : json_null(),
                                        "delimiter", task->delimiter));
    }
    if (settings->num_tasks > 0 && (json_array_size(list) < settings->num_tasks ||
                                    json_object_set(json_object_get(job, "evaluate"), "tasks", list) != 0)) {
        json_decref(job);
        job = NULL;
    }
    json_decref(list);
    return job;
}

json_t *settings_to_json(const struct settings *settings)
{
    json_t *ratios = ratios_to_json(settings);
    if (ratios == NULL && settings->num_ratios > 0)
        return NULL;
    json_t *job = json_pack(
        "{s:s, s:s, s:s?, s:{s:s, s:I, s:I, s:I, s:b}, s:{s:s, s:o, s:o*}, s:b, s:o, s:{s:s?, s:I}}", "model",
        settings->model, "run", settings->run, "output", settings->output, "calibration", "corpus",
        settings->corpus, "sequences", (json_int_t)settings->sequences, "length",
        (json_int_t)settings->length, "seed", (json_int_t)settings->seed, "keep_activations",
        (int)settings->keep_activations, "prune", "propagation", propagation_word(settings->propagation),
        "skip", skip_to_json(settings), "ratios", ratios, "keep_weights", (int)settings->keep_weights,
        "variants", variants_to_json(settings), "evaluate", "perplexity", settings->perplexity, "length",
        (json_int_t)settings->evaluate_length);
    return with_tasks(job, settings);
}

// ---- from JSON -----------------------------------------------------------------------------------------

static bool word_index(const char *word, const char *const *words, size_t count, unsigned *index)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(word, words[i]) == 0) {
            *index = (unsigned)i;
            return true;
        }
    return false;
}

static bool energy_from_json(struct variant *variant, const json_t *energy)
{
    size_t i;
    const json_t *word;

    json_array_foreach(energy, i, word)
    {
        const char *text = json_string_value(word);
        if (text != NULL && strcmp(text, "columns") == 0)
            variant->energy_columns = true;
        else if (text != NULL && strcmp(text, "rows") == 0)
            variant->energy_rows = true;
        else
            return false;
    }
    return true;
}

static bool amount_from_json(struct variant *variant, const json_t *json)
{
    const json_t *sparsity = json_object_get(json, "sparsity");
    const char *pattern = json_string_value(json_object_get(json, "pattern"));
    int end = 0;

    variant->is_pattern = pattern != NULL;
    if (pattern == NULL) {
        variant->sparsity = json_number_value(sparsity);
        return json_is_number(sparsity) && variant->sparsity >= 0 && variant->sparsity <= 1;
    }
    return sscanf(pattern, "%4zu:%4zu%n", &variant->keep, &variant->of, &end) == 2 && pattern[end] == '\0' &&
           variant->keep >= 1 && variant->keep <= variant->of && variant->of <= 32;
}

static bool variant_from_json(struct variant *variant, const json_t *json)
{
    const char *name, *method, *group, *output = "off", *allocation = "uniform";
    const json_t *energy;
    size_t count;
    unsigned group_index, output_index, allocation_index;
    int bias = 0, guard = 0;

    *variant = (struct variant){
        .parameters = {.alpha = NAN, .epsilon = DEFAULT_EPSILON, .exponent = NAN},
        .owl_threshold = DEFAULT_OWL_THRESHOLD,
        .owl_range = DEFAULT_OWL_RANGE,
        .clamp = {.low = DEFAULT_CLAMP_LOW, .high = DEFAULT_CLAMP_HIGH, .epsilon = DEFAULT_EPSILON},
    };
    // jansson's unpacking reads only, but its prototype does not say const.
    if (json_unpack(
            (json_t *)json, "{s:s, s:s, s:s, s:o, s?F, s?F, s?F, s?s, s?F, s?F, s?s, s?b, s?b, s?[F, F]}",
            "name", &name, "method", &method, "group", &group, "energy", &energy, "alpha",
            &variant->parameters.alpha, "epsilon", &variant->parameters.epsilon, "activation_exponent",
            &variant->parameters.exponent, "allocation", &allocation, "owl_threshold",
            &variant->owl_threshold, "owl_range", &variant->owl_range, "output", &output, "bias", &bias,
            "guard", &guard, "clamp", &variant->clamp.low, &variant->clamp.high) != 0)
        return false;
    const char *const *groups = group_names(&count);
    if (!method_from_name(method, &variant->method) || !word_index(group, groups, count, &group_index) ||
        !word_index(output, matching_names(&count), MATCHING_MIXED + 1, &output_index) ||
        !word_index(allocation, allocation_names(&count), ALLOCATION_OWL + 1, &allocation_index) ||
        !json_is_array(energy) || !energy_from_json(variant, energy) || !amount_from_json(variant, json))
        return false;
    // What is not there is the method's own.
    if (isnan(variant->parameters.alpha))
        variant->parameters.alpha = importance_defaults(variant->method).alpha;
    if (isnan(variant->parameters.exponent))
        variant->parameters.exponent = importance_defaults(variant->method).exponent;
    variant->group = (enum group)group_index;
    variant->output = (enum matching)output_index;
    variant->allocation = (enum allocation)allocation_index;
    variant->bias = bias != 0;
    variant->guard = guard != 0;
    variant_normalise(variant);
    variant_name(variant);
    return strcmp(variant->name, name) == 0;
}

// A text of its own; JSON null gives NULL.
static enum status copy_text(char **copy, const json_t *json, const char *key, const char *origin,
                             struct error *err)
{
    const char *text = json_string_value(json);

    *copy = NULL;
    if (json_is_null(json))
        return STATUS_OK;
    RETURN_ERROR_IF(text == NULL, err, STATUS_DAMAGED, "%s: %s is not a text", origin, key);
    const size_t size = strlen(text) + 1;
    FORWARD_IF_ERROR(allocate(copy, size, 1, "the job", err));
    memcpy(*copy, text, size);
    return STATUS_OK;
}

static enum status ratios_from_json(struct settings *settings, const json_t *ratios, const char *origin,
                                    struct error *err)
{
    FORWARD_IF_ERROR(
        allocate(&settings->ratios, json_array_size(ratios), sizeof *settings->ratios, "prune.ratios", err));
    for (size_t i = 0; i < json_array_size(ratios); i++) {
        const json_t *pair = json_array_get(ratios, i);
        struct ratio *ratio = &settings->ratios[i];
        ratio->sparsity = json_number_value(json_array_get(pair, 1));
        RETURN_ERROR_IF(
            !json_is_string(json_array_get(pair, 0)) || !json_is_number(json_array_get(pair, 1)) ||
                !(ratio->sparsity >= 0 && ratio->sparsity <= 1),
            err, STATUS_DAMAGED, "%s: prune.ratios[%zu] is not a pattern and a sparsity", origin, i);
        settings->num_ratios = i + 1;
        FORWARD_IF_ERROR(copy_text(&ratio->pattern, json_array_get(pair, 0), "prune.ratios", origin, err));
    }
    return STATUS_OK;
}

// "skip" and "variants" of the frozen job; STATUS_DAMAGED when an element is not what it must be.
static enum status lists_from_json(struct settings *settings, const json_t *skip, const json_t *variants,
                                   const char *origin, struct error *err)
{
    FORWARD_IF_ERROR(
        allocate(&settings->skip, json_array_size(skip), sizeof *settings->skip, "prune.skip", err));
    for (size_t i = 0; i < json_array_size(skip); i++) {
        const json_t *text = json_array_get(skip, i);
        RETURN_ERROR_IF(!json_is_string(text), err, STATUS_DAMAGED, "%s: prune.skip[%zu] is not a text",
                        origin, i);
        FORWARD_IF_ERROR(copy_text(&settings->skip[i], text, "prune.skip", origin, err));
        settings->num_skip = i + 1;
    }
    FORWARD_IF_ERROR(allocate(&settings->variants, json_array_size(variants), sizeof *settings->variants,
                              "variants", err));
    for (size_t i = 0; i < json_array_size(variants); i++) {
        RETURN_ERROR_IF(!variant_from_json(&settings->variants[i], json_array_get(variants, i)), err,
                        STATUS_DAMAGED, "%s: variants[%zu] is not a variant of this version", origin, i);
        settings->num_variants = i + 1;
    }
    return STATUS_OK;
}

static enum status task_from_json(struct task_settings *task, const json_t *json, const char *origin,
                                  struct error *err)
{
    const char *format = json_string_value(json_object_get(json, "format"));
    const json_t *limit = json_object_get(json, "limit");
    unsigned index = TASK_RECOGNISED;
    size_t count;
    const char *const *formats = task_format_names(&count);

    RETURN_ERROR_IF(!json_is_string(json_object_get(json, "name")) ||
                        !json_is_string(json_object_get(json, "data")) ||
                        (format != NULL && !word_index(format, formats, count, &index)) ||
                        (json_is_integer(limit) && json_integer_value(limit) < 1),
                    err, STATUS_DAMAGED, "%s: evaluate.tasks: not a task of this version", origin);
    task->format = (enum task_format)index;
    task->limit = (size_t)json_integer_value(limit);
    FORWARD_IF_ERROR(copy_text(&task->name, json_object_get(json, "name"), "evaluate.tasks", origin, err));
    FORWARD_IF_ERROR(copy_text(&task->data, json_object_get(json, "data"), "evaluate.tasks", origin, err));
    if (json_object_get(json, "delimiter") == NULL)
        return STATUS_OK;
    return copy_text(&task->delimiter, json_object_get(json, "delimiter"), "evaluate.tasks", origin, err);
}

static enum status tasks_from_json(struct settings *settings, const json_t *tasks, const char *origin,
                                   struct error *err)
{
    const size_t count = json_array_size(tasks);

    FORWARD_IF_ERROR(allocate(&settings->tasks, count, sizeof *settings->tasks, "evaluate.tasks", err));
    for (size_t i = 0; i < count; i++) {
        settings->num_tasks = i + 1;
        FORWARD_IF_ERROR(task_from_json(&settings->tasks[i], json_array_get(tasks, i), origin, err));
    }
    return STATUS_OK;
}

static enum status fill_settings(struct settings *settings, const json_t *json, const char *origin,
                                 struct error *err)
{
    const json_t *model, *run, *output, *corpus, *perplexity;
    const char *propagation;
    json_int_t sequences, length, seed, evaluate_length;
    int keep_activations, keep_weights = 1;
    json_t *skip, *variants, *ratios = NULL;
    json_error_t why;
    size_t count;
    unsigned propagation_index;

    RETURN_ERROR_IF(
        json_unpack_ex(
            (json_t *)json, &why, 0,
            "{s:o, s:o, s:o, s:{s:o, s:I, s:I, s:I, s:b}, s:{s:s, s:o, s?o}, s?b, s:o, s:{s:o, s:I}}",
            "model", &model, "run", &run, "output", &output, "calibration", "corpus", &corpus, "sequences",
            &sequences, "length", &length, "seed", &seed, "keep_activations", &keep_activations, "prune",
            "propagation", &propagation, "skip", &skip, "ratios", &ratios, "keep_weights", &keep_weights,
            "variants", &variants, "evaluate", "perplexity", &perplexity, "length", &evaluate_length) != 0,
        err, STATUS_DAMAGED, "%s: not a job: %s", origin, why.text);
    const char *const *propagations = propagation_names(&count);
    RETURN_ERROR_IF(json_is_null(model) || json_is_null(run) || json_is_null(corpus), err, STATUS_DAMAGED,
                    "%s: not a job: model, run or corpus is null", origin);
    RETURN_ERROR_IF(sequences < 1 || length < 1 || seed < 0 || evaluate_length < 1 || !json_is_array(skip) ||
                        !json_is_array(variants) ||
                        !word_index(propagation, propagations, count, &propagation_index),
                    err, STATUS_DAMAGED, "%s: not a job: a value is out of range", origin);
    settings->sequences = (size_t)sequences;
    settings->length = (size_t)length;
    settings->seed = (uint64_t)seed;
    settings->evaluate_length = (size_t)evaluate_length;
    settings->keep_activations = keep_activations != 0;
    settings->keep_weights = keep_weights != 0;
    settings->propagation = (enum propagation)propagation_index;
    FORWARD_IF_ERROR(copy_text(&settings->model, model, "model", origin, err));
    FORWARD_IF_ERROR(copy_text(&settings->run, run, "run", origin, err));
    FORWARD_IF_ERROR(copy_text(&settings->output, output, "output", origin, err));
    FORWARD_IF_ERROR(copy_text(&settings->corpus, corpus, "calibration.corpus", origin, err));
    FORWARD_IF_ERROR(copy_text(&settings->perplexity, perplexity, "evaluate.perplexity", origin, err));
    FORWARD_IF_ERROR(ratios_from_json(settings, ratios, origin, err));
    FORWARD_IF_ERROR(
        tasks_from_json(settings, json_object_get(json_object_get(json, "evaluate"), "tasks"), origin, err));
    return lists_from_json(settings, skip, variants, origin, err);
}

enum status settings_from_json(struct settings **settings, const json_t *json, const char *origin,
                               struct error *err)
{
    FORWARD_IF_ERROR(allocate(settings, 1, sizeof **settings, "the job", err));
    const enum status status = fill_settings(*settings, json, origin, err);
    if (status != STATUS_OK) {
        settings_free(*settings);
        *settings = NULL;
    }
    return status;
}
