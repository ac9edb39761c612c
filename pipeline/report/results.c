#include "pipeline/report/results.h"

#include "io/file/json.h"
#include "io/file/json_memory.h"
#include "io/file/run_paths.h"
#include "io/text/printable.h"
#include "pipeline/job/json.h"
#include "pipeline/job/variant.h"
#include "pipeline/record/results/allocation_json.h"
#include "pipeline/record/results/budget_json.h"
#include "pipeline/record/results/task_results.h"
#include "pipeline/record/results/text_results.h"
#include "pipeline/record/run_json/run_record.h"
#include "stages/evaluate/perplexity.h"
#include "stages/export/export.h"
#include "stages/stage.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_result(struct perplexity *result, const struct settings *settings, size_t text,
                        const struct variant *variant)
{
    char path[PATH_SIZE];
    perplexity_path(path, settings, text, variant);
    return perplexity_read(result, path, NULL) == STATUS_OK;
}

static json_t *result_to_json(const struct settings *settings, const struct variant *variant)
{
    struct perplexity result;
    char output[PATH_SIZE];
    json_t *json = json_object();

    json_object_set_new(json, "variant", json_string(variant_name(variant)));
    if (read_result(&result, settings, 0, variant)) {
        json_object_set_new(json, "perplexity", json_real(result.perplexity));
        json_object_set_new(json, "tokens", json_integer((json_int_t)result.tokens));
        json_object_set_new(json, "windows", json_integer((json_int_t)result.windows));
        json_object_set_new(json, "length", json_integer((json_int_t)result.length));
    }
    json_t *texts = text_results_to_json(settings, variant, NULL);
    if (texts != NULL)
        json_object_set_new(json, "texts", texts);
    json_t *allocation = allocation_to_json(settings, variant, NULL);
    if (allocation != NULL)
        json_object_set_new(json, "allocation", allocation);
    json_t *budget = budget_to_json(settings, variant);
    if (budget != NULL)
        json_object_set_new(json, "budget", budget);
    if (settings->num_tasks > 0) {
        json_t *tasks = tasks_to_json(settings, variant, NULL);
        double mean;
        if (tasks_mean(&mean, tasks) && json_object_size(tasks) == settings->num_tasks)
            json_object_set_new(json, "mean_acc", json_real(mean));
        json_object_set_new(json, "tasks", tasks);
    }
    if (variant != NULL && settings->output != NULL) {
        export_path(output, sizeof output, settings, variant);
        if (access(output, F_OK) == 0)
            json_object_set_new(json, "output", json_string(output));
    }
    return json;
}

// Where a table says more than one thing of a text, its columns are called by its name.
static bool has_names(const struct settings *settings)
{
    return settings->num_texts > 1 || (settings->num_texts == 1 && !settings->texts[0].is_plain);
}

// A job without texts may have results of an earlier start.
static size_t columns_of(const struct settings *settings)
{
    return settings->num_texts > 0 ? settings->num_texts : 1;
}

static int column_of(const struct settings *settings, size_t text)
{
    const size_t length = has_names(settings) ? strlen(text_title(&settings->texts[text])) : 0;
    return length > 12 ? (int)length : 12;
}

// The perplexity on one text, and how many times the dense model's it is; "-": not known.
static void print_perplexity(const struct settings *settings, size_t text, const struct variant *variant,
                             FILE *out)
{
    struct perplexity result, dense;
    const int width = column_of(settings, text);

    if (!read_result(&result, settings, text, variant)) {
        fprintf(out, " %*s %9s", width, "-", "-");
        return;
    }
    fprintf(out, " %*.4f", width, result.perplexity);
    if (read_result(&dense, settings, text, NULL))
        fprintf(out, " %9.3f", result.perplexity / dense.perplexity);
    else
        fprintf(out, " %9s", "-");
}

// Models of which nothing is known have no row.
static void print_row(const struct settings *settings, const struct variant *variant, FILE *out)
{
    struct perplexity result;
    char output[PATH_SIZE] = "";
    bool any = false;

    if (variant != NULL && settings->output != NULL) {
        export_path(output, sizeof output, settings, variant);
        if (access(output, F_OK) != 0)
            output[0] = '\0';
    }
    make_printable(output);
    for (size_t text = 0; text < columns_of(settings) && !any; text++)
        any = read_result(&result, settings, text, variant);
    if (!any && output[0] == '\0')
        return;
    fprintf(out, "%-*s", variants_column(settings), variant_name(variant));
    for (size_t text = 0; text < columns_of(settings); text++)
        print_perplexity(settings, text, variant, out);
    fprintf(out, "  %s\n", output);
}

// The path of the text without a name that an earlier start measured, from run.json.
static const char *recorded_text(const struct run_record *record)
{
    const json_t *prints = json_object_get(record->json, "fingerprints");
    const json_t *text = json_array_get(json_object_get(prints, "evaluation"), 0);
    const char *file = json_string_value(json_object_get(text, "file"));
    return file != NULL ? file : "a text of an earlier start";
}

static void print_texts(const struct settings *settings, FILE *out)
{
    struct run_record record = {0};
    struct perplexity dense;
    bool any = false;

    if (settings->num_texts == 0)
        (void)run_record_read(&record, settings->run, NULL);

    for (size_t text = 0; text < columns_of(settings); text++) {
        if (!read_result(&dense, settings, text, NULL))
            continue;
        if (!any)
            fprintf(out, "\nPerplexity at sequence length %llu", (unsigned long long)dense.length);
        fprintf(out, ", %llu windows of %s", (unsigned long long)dense.windows,
                settings->num_texts > 0 ? settings->texts[text].data : recorded_text(&record));
        if (has_names(settings))
            fprintf(out, " (%s)", text_title(&settings->texts[text]));
        any = true;
    }
    if (any)
        fprintf(out, "\n\n");
    run_record_free(&record);
}

static void print_head(const struct settings *settings, FILE *out)
{
    fprintf(out, "%-*s", variants_column(settings), "variant");
    for (size_t text = 0; text < columns_of(settings); text++)
        fprintf(out, " %*s %9s", column_of(settings, text),
                has_names(settings) ? text_title(&settings->texts[text]) : "perplexity", "x dense");
    fprintf(out, "  %s\n", settings->output != NULL ? "model" : "");
}

static void print_budgets(const struct settings *settings, FILE *out)
{
    char text[160];
    for (size_t v = 0; v < settings->num_variants && settings_search(settings); v++)
        if (budget_text(text, sizeof text, settings, &settings->variants[v])[0] != '\0')
            fprintf(out, "%s: %s\n", settings->variants[v].name, text);
}

// Of the dense model (variant NULL) or a variant.
static void add_unread(json_t *missing, const struct settings *settings, const struct variant *variant)
{
    struct perplexity result;
    char path[PATH_SIZE];

    for (size_t text = 0; text < columns_of(settings); text++) {
        struct error why = {0};
        perplexity_path(path, settings, text, variant);
        if (access(path, F_OK) == 0 && perplexity_read(&result, path, &why) != STATUS_OK)
            json_array_append_new(missing, json_string(why.message));
    }
    json_decref(tasks_to_json(settings, variant, missing));
}

// A table without what is there and cannot be read is not the result.
static enum status check_unread(const struct settings *settings, struct error *err)
{
    json_t *missing = json_array();

    add_unread(missing, settings, NULL);
    for (size_t v = 0; v < settings->num_variants; v++)
        add_unread(missing, settings, &settings->variants[v]);
    enum status status = json_memory_check("the results", err);
    if (status == STATUS_OK && json_array_size(missing) > 0)
        status = error_set(err, STATUS_FAILED, "%s", json_string_value(json_array_get(missing, 0)));
    json_decref(missing);
    return status;
}

static enum status print(const struct settings *settings, bool json, FILE *out, struct error *err)
{
    if (json) {
        json_t *list = json_array();
        json_array_append_new(list, result_to_json(settings, NULL));
        for (size_t v = 0; v < settings->num_variants; v++)
            json_array_append_new(list, result_to_json(settings, &settings->variants[v]));
        json_t *all = json_pack("{s:s, s:o}", "run", settings->run, "results", list);
        char *text = json_text(all, JSON_INDENT(2));
        json_decref(all);
        const enum status status = json_memory_check("the results", err);
        if (status == STATUS_OK)
            fprintf(out, "%s\n", text);
        free(text);
        return status;
    }
    print_texts(settings, out);
    print_budgets(settings, out);
    if (settings->num_texts == 0 && settings->output == NULL) {
        if (settings->num_tasks > 0)
            tasks_print(settings, out);
        return STATUS_OK;
    }
    print_head(settings, out);
    print_row(settings, NULL, out);
    for (size_t v = 0; v < settings->num_variants; v++)
        print_row(settings, &settings->variants[v], out);
    tasks_print(settings, out);
    return STATUS_OK;
}

enum status results_print(const struct settings *settings, bool json, FILE *out, struct error *err)
{
    FORWARD_IF_ERROR(print(settings, json, out, err));
    return check_unread(settings, err);
}
