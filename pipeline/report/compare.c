#include "pipeline/report/compare.h"
#include "io/file/run_paths.h"
#include "pipeline/record/results/budget_json.h"

#include "io/file/json.h"
#include "io/file/json_memory.h"
#include "pipeline/job/job.h"
#include "pipeline/job/json.h"
#include "pipeline/record/results/task_results.h"
#include "pipeline/record/results/text_results.h"
#include "pipeline/record/run_json/run_record.h"
#include "pipeline/report/compare_show.h"
#include "pipeline/report/data/members.h"
#include "pipeline/report/data/published.h"
#include "pipeline/report/data/series.h"
#include "pipeline/text/say.h"
#include "stages/evaluate/perplexity.h"
#include "stages/stage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// All is kept as JSON:
//   {"runs": [{"run", "model": [{"file", "xxh3"}], "evaluation": [...], "text", "texts": {NAME: [...]},
//   "length", "sequences",
//              "calibration_length", "seed", "propagation", "compute" (where it is not float32)}],
//    "same_model", "same_evaluation", "warnings": [...],
//    "variants": [{"variant", "series", "choice", "target", "perplexity": [of each run or null],
//                  "texts" (when some have names): {NAME: [of each run {"perplexity", ...} or null]},
//                  "tasks" (when there are some): {TASK: [of each run {"acc", ...} or null]},
//                  "published" (when there is some): [of each run published.h's object or null]}]}

// ---- one run --------------------------------------------------------------------------------------------

// Names without folders and hashes: what makes two inputs the same.
static json_t *identities(const json_t *record, const char *list)
{
    json_t *result = json_array(), *file;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(record, "fingerprints"), list), i, file)
    {
        const char *name = text_of(file, "file"), *base = strrchr(name, '/');
        json_array_append_new(result, json_pack("{s:s, s:O?}", "file", base != NULL ? base + 1 : name, "xxh3",
                                                json_object_get(file, "xxh3")));
    }
    return result;
}

// {NAME: [the same of the text of that name]}.
static json_t *text_identities(const json_t *record)
{
    json_t *result = json_object(), *all = identities(record, "texts"), *stamp;
    size_t i;

    json_array_foreach(json_object_get(json_object_get(record, "fingerprints"), "texts"), i, stamp)
    {
        const char *name = text_of(stamp, "text");
        if (json_object_get(result, name) == NULL)
            json_object_set_new(result, name, json_array());
        json_array_append(json_object_get(result, name), json_array_get(all, i));
    }
    json_decref(all);
    return result;
}

// What makes the first text of a run, which "perplexity" is of, the same as that of another.
static json_t *first_identity(const json_t *record, const struct settings *settings, const json_t *texts)
{
    const char *name = text_label(settings, 0);
    return name != NULL ? json_incref(json_object_get(texts, name)) : identities(record, "evaluation");
}

// SIZE_MAX: the variant is new.
static size_t find_variant(const json_t *variants, const struct variant *variant)
{
    json_t *row;
    size_t i;

    json_array_foreach(variants, i, row)
    {
        if (strcmp(text_of(row, "variant"), variant_name(variant)) == 0)
            return i;
    }
    return SIZE_MAX;
}

static json_t *variant_row(const json_t *variants, const struct variant *variant)
{
    return json_array_get(variants, find_variant(variants, variant));
}

// A variant of several runs has the target of the first.
static json_t *new_row(const struct settings *settings, const struct variant *variant)
{
    json_t *row = json_pack("{s:s, s:[]}", "variant", variant_name(variant), "perplexity");
    char series[128];

    if (variant != NULL) {
        series_of(series, sizeof series, variant);
        json_object_set_new(row, "series", json_string(series));
        json_object_set_new(row, "choice", variant_to_json(variant));
        json_object_set_new(row, "target", json_real(variant_target(settings, variant)));
    }
    return row;
}

// Rows for the variants of one more run: a new one comes after the one that it follows in its job.
static void add_rows(json_t *variants, const struct settings *settings)
{
    size_t place = 0;

    for (size_t v = 0; v <= settings->num_variants; v++) {
        const struct variant *variant = v == 0 ? NULL : &settings->variants[v - 1];
        const size_t found = find_variant(variants, variant);
        if (found == SIZE_MAX)
            json_array_insert_new(variants, place, new_row(settings, variant));
        place = (found == SIZE_MAX ? place : found) + 1;
    }
}

// Nulls up to `count` values.
static void fill(json_t *values, size_t count)
{
    while (json_array_size(values) < count)
        json_array_append_new(values, json_null());
}

static void add_published(json_t *row, size_t run, json_t *published)
{
    if (published == NULL)
        return;
    if (json_object_get(row, "published") == NULL)
        json_object_set_new(row, "published", json_array());
    fill(json_object_get(row, "published"), run);
    json_array_append_new(json_object_get(row, "published"), published);
}

static enum status add_result(json_t *variants, size_t run, const struct settings *settings,
                              const struct variant *variant, uint64_t *length, struct error *err)
{
    struct perplexity result;
    char path[PATH_SIZE];
    json_t *row = variant_row(variants, variant), *values = json_object_get(row, "perplexity");

    fill(values, run + 1);
    perplexity_path(path, settings, 0, variant);
    if (access(path, F_OK) != 0) {
        add_published(row, run, published_to_json(settings, variant, NAN, 0));
        return STATUS_OK;
    }
    FORWARD_IF_ERROR(perplexity_read(&result, path, err));
    *length = result.length;
    add_published(row, run, published_to_json(settings, variant, result.perplexity, result.length));
    // JSON has no infinities: a perplexity that overflowed is null.
    json_array_set_new(values, run, isfinite(result.perplexity) ? json_real(result.perplexity) : json_null());
    return STATUS_OK;
}

// Adds a run's {NAME: result} to {NAME: [of each run]}, the member `list` of the row. Takes the results.
static void add_named(json_t *row, const char *list, size_t run, json_t *results)
{
    json_t *result;
    const char *name;

    if (json_object_size(results) > 0 && json_object_get(row, list) == NULL)
        json_object_set_new(row, list, json_object());
    json_t *all = json_object_get(row, list);
    json_object_foreach(results, name, result)
    {
        if (json_object_get(all, name) == NULL)
            json_object_set_new(all, name, json_array());
        fill(json_object_get(all, name), run);
        json_array_append(json_object_get(all, name), result);
    }
    json_decref(results);
}

static void add_named_results(json_t *variants, size_t run, const struct settings *settings,
                              const struct variant *variant)
{
    json_t *row = variant_row(variants, variant);
    add_named(row, "texts", run, text_results_to_json(settings, variant, NULL));
    add_named(row, "tasks", run, tasks_to_json(settings, variant, NULL));
}

static enum status add_run(json_t *comparison, size_t run, const char *path, struct error *err)
{
    json_t *variants = json_object_get(comparison, "variants");
    struct run_record record;
    struct settings *settings = NULL;
    uint64_t length = 0;
    enum status status;

    FORWARD_IF_ERROR(run_record_read(&record, path, err));
    GOTO_IF_ERROR(settings_from_json(&settings, json_object_get(record.json, "job"), path, err), done);
    free(settings->run);
    settings->run = strdup(path);
    if (settings->run == NULL) {
        status = error_set(err, STATUS_MEMORY, "out of memory for a name");
        goto done;
    }
    add_rows(variants, settings);
    GOTO_IF_ERROR(add_result(variants, run, settings, NULL, &length, err), done);
    for (size_t v = 0; v < settings->num_variants; v++)
        GOTO_IF_ERROR(add_result(variants, run, settings, &settings->variants[v], &length, err), done);
    add_named_results(variants, run, settings, NULL);
    for (size_t v = 0; v < settings->num_variants; v++)
        add_named_results(variants, run, settings, &settings->variants[v]);
    json_t *texts = text_identities(record.json);
    json_array_append_new(
        json_object_get(comparison, "runs"),
        json_pack("{s:s, s:o, s:o, s:s?, s:O, s:I, s:I, s:I, s:I, s:s, s:O*}", "run", path, "model",
                  identities(record.json, "model"), "evaluation",
                  first_identity(record.json, settings, texts), "text",
                  settings->num_texts > 0 ? text_title(&settings->texts[0]) : NULL, "texts", texts, "length",
                  (json_int_t)length, "sequences", (json_int_t)settings->sequences, "calibration_length",
                  (json_int_t)settings->length, "seed", (json_int_t)settings->seed, "propagation",
                  settings->propagation == PROPAGATION_DENSE ? "dense" : "pruned", "compute",
                  json_object_get(json_object_get(record.json, "job"), "compute")));
    json_decref(texts);
done:
    settings_free(settings);
    run_record_free(&record);
    return status;
}

// ---- may they be compared? ------------------------------------------------------------------------------

// The runs that measured a perplexity. New reference.
static json_t *measured_runs(const json_t *runs)
{
    json_t *measured = json_array(), *run;
    size_t i;

    json_array_foreach(runs, i, run)
    {
        if (json_integer_value(json_object_get(run, "length")) > 0)
            json_array_append(measured, run);
    }
    return measured;
}

static bool all_same(const json_t *runs, const char *key)
{
    const json_t *first = json_object_get(json_array_get(runs, 0), key);
    size_t i;
    json_t *run;
    json_array_foreach(runs, i, run)
    {
        if (!json_equal(json_object_get(run, key), first))
            return false;
    }
    return true;
}

// Whether a text of one name is the same in all runs that have it. *which: the first that is not.
static bool same_texts(const json_t *runs, const char **which)
{
    const json_t *other;
    size_t r, s;
    json_t *run, *text;

    json_array_foreach(runs, r, run)
    {
        json_object_foreach(json_object_get(run, "texts"), *which, text)
        {
            for (s = 0; s < r; s++) {
                other = json_object_get(json_object_get(json_array_get(runs, s), "texts"), *which);
                if (other != NULL && !json_equal(text, other))
                    return false;
            }
        }
    }
    return true;
}

// A task is the same when its examples are: the contents of its file, and how many of them.
static bool same_tasks(const json_t *comparison, const char **which)
{
    static const char *const keys[] = {"data_xxh3", "examples", "format"};
    size_t i, r, k;
    json_t *row, *values, *value;

    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        json_object_foreach(json_object_get(row, "tasks"), *which, values)
        {
            const json_t *first = NULL;
            json_array_foreach(values, r, value)
            {
                first = first == NULL && json_is_object(value) ? value : first;
                for (k = 0; json_is_object(value) && k < sizeof keys / sizeof *keys; k++)
                    if (!json_equal(json_object_get(value, keys[k]), json_object_get(first, keys[k])))
                        return false;
            }
        }
    }
    return true;
}

static bool any_at_other_length(const json_t *comparison)
{
    size_t i;
    json_t *row;

    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        if (published_at_other_length(json_object_get(row, "published")))
            return true;
    }
    return false;
}

static void judge(json_t *comparison)
{
    const json_t *runs = json_object_get(comparison, "runs");
    json_t *warnings = json_object_get(comparison, "warnings");
    const bool model = all_same(runs, "model");
    json_t *measured = measured_runs(runs);
    const bool text = all_same(measured, "evaluation"), length = all_same(measured, "length");

    if (!model)
        json_array_append_new(warnings, json_string("the runs are of different models"));
    if (!text)
        json_array_append_new(warnings, json_string("perplexities were measured on different texts"));
    const char *which = NULL;
    const bool texts = same_texts(measured, &which);
    if (!texts)
        json_array_append_new(warnings, json_sprintf("text %s is another in each run", which));
    if (!length)
        json_array_append_new(warnings,
                              json_string("perplexities were measured at different sequence lengths"));
    if (any_at_other_length(comparison))
        json_array_append_new(warnings,
                              json_string("perplexities were published at other sequence lengths than they "
                                          "were measured at"));
    const char *task = NULL;
    const bool tasks = same_tasks(comparison, &task);
    if (!tasks)
        json_array_append_new(warnings,
                              json_sprintf("accuracies on %s were measured on different examples", task));
    json_object_set_new(comparison, "same_tasks", json_boolean(tasks));
    json_object_set_new(comparison, "same_model", json_boolean(model));
    json_object_set_new(comparison, "same_evaluation", json_boolean(text && texts && length));
    json_decref(measured);
}

static enum status gather(json_t **comparison, const char *const *runs, size_t count, struct error *err)
{
    enum status status = STATUS_OK;
    size_t i;
    json_t *row;

    *comparison = json_pack("{s:[], s:[], s:[]}", "runs", "warnings", "variants");
    RETURN_ERROR_IF(*comparison == NULL, err, STATUS_MEMORY, "out of memory for the comparison");
    for (size_t r = 0; r < count && status == STATUS_OK; r++)
        status = add_run(*comparison, r, runs[r], err);
    FORWARD_IF_ERROR(status);
    judge(*comparison);
    json_array_foreach(json_object_get(*comparison, "variants"), i, row)
    {
        const char *name;
        json_t *values;
        fill(json_object_get(row, "perplexity"), count);
        if (json_object_get(row, "published") != NULL)
            fill(json_object_get(row, "published"), count);
        json_object_foreach(json_object_get(row, "texts"), name, values)
        {
            fill(values, count);
        }
        json_object_foreach(json_object_get(row, "tasks"), name, values)
        {
            fill(values, count);
        }
    }
    return STATUS_OK;
}

enum status compare_runs(const char *const *runs, size_t count, bool json, const char *html, FILE *out,
                         FILE *warnings, struct error *err)
{
    json_t *comparison = NULL, *warning;
    enum status status = gather(&comparison, runs, count, err);
    size_t i;

    if (status == STATUS_OK)
        status = json_memory_check("the comparison", err);
    if (status == STATUS_OK && html != NULL)
        status = compare_write_page(comparison, html, err);
    if (status == STATUS_OK) {
        json_array_foreach(json_object_get(comparison, "warnings"), i, warning)
        {
            say(warnings, "careful: %s", json_string_value(warning));
        }
        if (json) {
            json_print(comparison, out);
        } else {
            compare_print(comparison, out);
        }
    }
    json_decref(comparison);
    return status;
}
