#include "pipeline/compare.h"

#include "io/commit.h"
#include "pipeline/job.h"
#include "pipeline/job_json.h"
#include "pipeline/json_memory.h"
#include "pipeline/report.h"
#include "pipeline/report_page.h"
#include "pipeline/report_series.h"
#include "pipeline/run_record.h"
#include "stages/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// All is kept as JSON:
//   {"runs": [{"run", "model": [{"file", "xxh3"}], "evaluation": [...], "length", "sequences",
//   "calibration_length",
//              "seed", "propagation"}],
//    "same_model", "same_evaluation", "warnings": [...],
//    "variants": [{"variant", "series", "choice", "target", "perplexity": [of each run or null]}]}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

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

static json_t *variant_row(json_t *variants, const struct variant *variant)
{
    const char *name = variant != NULL ? variant->name : "dense";
    char series[128];
    json_t *row;
    size_t i;

    json_array_foreach(variants, i, row)
    {
        if (strcmp(text_of(row, "variant"), name) == 0)
            return row;
    }
    row = json_pack("{s:s, s:[]}", "variant", name, "perplexity");
    if (variant != NULL) {
        series_of(series, sizeof series, variant);
        json_object_set_new(row, "series", json_string(series));
        json_object_set_new(row, "choice", variant_to_json(variant));
        json_object_set_new(row, "target",
                            json_real(variant->is_pattern ? 1 - (double)variant->keep / (double)variant->of
                                                          : variant->sparsity));
    }
    json_array_append_new(variants, row);
    return row;
}

static enum status add_result(json_t *variants, size_t run, const struct settings *settings,
                              const struct variant *variant, uint64_t *length, struct error *err)
{
    struct perplexity result;
    char path[4200];
    json_t *values = json_object_get(variant_row(variants, variant), "perplexity");

    while (json_array_size(values) <= run)
        json_array_append_new(values, json_null());
    perplexity_path(path, sizeof path, settings, variant);
    if (access(path, F_OK) != 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(perplexity_read(&result, path, err));
    *length = result.length;
    // JSON has no infinities: a perplexity that overflowed is null.
    json_array_set_new(values, run, isfinite(result.perplexity) ? json_real(result.perplexity) : json_null());
    return STATUS_OK;
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
    GOTO_IF_ERROR(add_result(variants, run, settings, NULL, &length, err), done);
    for (size_t v = 0; v < settings->num_variants; v++)
        GOTO_IF_ERROR(add_result(variants, run, settings, &settings->variants[v], &length, err), done);
    json_array_append_new(
        json_object_get(comparison, "runs"),
        json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:s}", "run", path, "model",
                  identities(record.json, "model"), "evaluation", identities(record.json, "evaluation"),
                  "length", (json_int_t)length, "sequences", (json_int_t)settings->sequences,
                  "calibration_length", (json_int_t)settings->length, "seed", (json_int_t)settings->seed,
                  "propagation", settings->propagation == PROPAGATION_DENSE ? "dense" : "pruned"));
done:
    settings_free(settings);
    run_record_free(&record);
    return status;
}

// ---- may they be compared? ------------------------------------------------------------------------------

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

static void judge(json_t *comparison)
{
    const json_t *runs = json_object_get(comparison, "runs");
    json_t *warnings = json_object_get(comparison, "warnings");
    const bool model = all_same(runs, "model");
    const bool text = all_same(runs, "evaluation"), length = all_same(runs, "length");

    if (!model)
        json_array_append_new(warnings, json_string("the runs are of different models"));
    if (!text)
        json_array_append_new(warnings, json_string("perplexities were measured on different texts"));
    if (!length)
        json_array_append_new(warnings,
                              json_string("perplexities were measured at different sequence lengths"));
    json_object_set_new(comparison, "same_model", json_boolean(model));
    json_object_set_new(comparison, "same_evaluation", json_boolean(text && length));
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
        json_t *values = json_object_get(row, "perplexity");
        while (json_array_size(values) < count)
            json_array_append_new(values, json_null());
    }
    return STATUS_OK;
}

// ---- for people -----------------------------------------------------------------------------------------

static void describe_run(char *text, size_t size, const json_t *run)
{
    snprintf(text, size,
             "%s: %lld sequences of %lld tokens, seed %lld, propagation %s, measured at length %lld",
             text_of(run, "run"), (long long)json_integer_value(json_object_get(run, "sequences")),
             (long long)json_integer_value(json_object_get(run, "calibration_length")),
             (long long)json_integer_value(json_object_get(run, "seed")), text_of(run, "propagation"),
             (long long)json_integer_value(json_object_get(run, "length")));
}

static void print_table(const json_t *comparison, FILE *out)
{
    char text[4400];
    size_t i, r;
    json_t *run, *row, *value;

    json_array_foreach(json_object_get(comparison, "runs"), r, run)
    {
        describe_run(text, sizeof text, run);
        fprintf(out, "[%zu] %s\n", r + 1, text);
    }
    fprintf(out, "\n%-36s", "perplexity");
    json_array_foreach(json_object_get(comparison, "runs"), r, run)
    {
        snprintf(text, sizeof text, "[%zu]", r + 1);
        fprintf(out, " %12s", text);
    }
    fprintf(out, "\n");
    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        fprintf(out, "%-36s", text_of(row, "variant"));
        json_array_foreach(json_object_get(row, "perplexity"), r, value)
        {
            if (json_is_number(value))
                fprintf(out, " %12.4f", json_number_value(value));
            else
                fprintf(out, " %12s", "-");
        }
        fprintf(out, "\n");
    }
}

// What report_draw draws: every variant of every run as a model of its own, its series named after the run.
static json_t *as_report(const json_t *comparison)
{
    json_t *models = json_array(), *row, *value,
           *first = json_array_get(json_object_get(comparison, "variants"), 0);
    char series[160];
    size_t i, r;

    json_array_append_new(models, json_pack("{s:s, s:O}", "variant", "dense", "perplexity",
                                            json_array_get(json_object_get(first, "perplexity"), 0)));
    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        json_array_foreach(json_object_get(row, "perplexity"), r, value)
        {
            if (i == 0 || !json_is_number(value))
                continue;
            snprintf(series, sizeof series, "[%zu] %s", r + 1, text_of(row, "series"));
            json_array_append_new(models, json_pack("{s:O, s:s, s:O, s:O, s:O}", "variant",
                                                    json_object_get(row, "variant"), "series", series,
                                                    "choice", json_object_get(row, "choice"), "target",
                                                    json_object_get(row, "target"), "perplexity", value));
        }
    }
    return json_pack("{s:o}", "models", models);
}

static void write_page(const json_t *comparison, const json_t *plots, const char *no_plots, FILE *out)
{
    char text[4400];
    size_t i, r;
    json_t *item, *value;

    html_begin(out, "Comparison of pruning runs");
    json_array_foreach(json_object_get(comparison, "warnings"), i, item)
    {
        fputs("<p class=\"warning\">Careful: ", out);
        html_text(out, json_string_value(item));
        fputs(".</p>\n", out);
    }
    fputs("<ol>\n", out);
    json_array_foreach(json_object_get(comparison, "runs"), r, item)
    {
        describe_run(text, sizeof text, item);
        fputs("<li>", out);
        html_text(out, text);
        fputs("</li>\n", out);
    }
    fputs("</ol>\n", out);
    if (no_plots != NULL)
        fprintf(out, "<p class=\"warning\">%s</p>\n", no_plots);
    json_array_foreach(plots, i, item)
    {
        if (json_object_get(item, "svg") != NULL)
            fprintf(out, "<figure role=\"img\" aria-label=\"Perplexity\">%s</figure>\n",
                    text_of(item, "svg"));
    }
    fputs("<div class=\"wide\"><table class=\"sortable\"><thead><tr><th scope=\"col\" class=\"text\">"
          "<button type=\"button\">variant</button></th>",
          out);
    for (r = 0; r < json_array_size(json_object_get(comparison, "runs")); r++)
        fprintf(out, "<th scope=\"col\"><button type=\"button\">[%zu]</button></th>", r + 1);
    fputs("</tr></thead>\n<tbody>", out);
    json_array_foreach(json_object_get(comparison, "variants"), i, item)
    {
        fputs("<tr><td class=\"text\">", out);
        html_text(out, text_of(item, "variant"));
        fputs("</td>", out);
        json_array_foreach(json_object_get(item, "perplexity"), r, value)
        {
            if (json_is_number(value))
                fprintf(out, "<td data-value=\"%.17g\">%.4f</td>", json_number_value(value),
                        json_number_value(value));
            else
                fputs("<td>&ndash;</td>", out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
    html_end(out);
}

static enum status write_html(const json_t *comparison, const char *path, struct error *err)
{
    json_t *report = as_report(comparison), *plots = NULL;
    const char *no_plots;
    char *bytes = NULL;
    size_t size = 0;
    enum status status = report_draw(&plots, &no_plots, report, err);

    if (status == STATUS_OK) {
        FILE *out = open_memstream(&bytes, &size);
        if (out != NULL)
            write_page(comparison, plots, no_plots, out);
        if (out == NULL || fclose(out) != 0)
            status = error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    }
    if (status == STATUS_OK)
        status = commit_bytes(path, bytes, size, err);
    free(bytes);
    json_decref(plots);
    json_decref(report);
    return status;
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
        status = write_html(comparison, html, err);
    if (status == STATUS_OK) {
        json_array_foreach(json_object_get(comparison, "warnings"), i, warning)
        {
            fprintf(warnings, "coppice: careful: %s\n", json_string_value(warning));
        }
        if (json) {
            json_dumpf(comparison, out, JSON_INDENT(2));
            fputc('\n', out);
        } else {
            print_table(comparison, out);
        }
    }
    json_decref(comparison);
    return status;
}
