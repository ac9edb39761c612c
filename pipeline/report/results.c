#include "pipeline/report/results.h"

#include "io/file/run_paths.h"
#include "pipeline/job/json.h"
#include "pipeline/job/variant.h"
#include "pipeline/record/allocation_json.h"
#include "pipeline/record/budget_json.h"
#include "pipeline/record/task_results.h"
#include "pipeline/text/json_memory.h"
#include "stages/evaluate/perplexity.h"
#include "stages/export/export.h"
#include "stages/stage.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_result(struct perplexity *result, const struct settings *settings,
                        const struct variant *variant)
{
    char path[PATH_SIZE];
    perplexity_path(path, settings, variant);
    return perplexity_read(result, path, NULL) == STATUS_OK;
}

static json_t *result_to_json(const struct settings *settings, const struct variant *variant)
{
    struct perplexity result;
    char output[PATH_SIZE];
    json_t *json = json_object();

    json_object_set_new(json, "variant", json_string(variant_name(variant)));
    if (read_result(&result, settings, variant)) {
        json_object_set_new(json, "perplexity", json_real(result.perplexity));
        json_object_set_new(json, "tokens", json_integer((json_int_t)result.tokens));
        json_object_set_new(json, "windows", json_integer((json_int_t)result.windows));
        json_object_set_new(json, "length", json_integer((json_int_t)result.length));
    }
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

static void print_row(const struct settings *settings, const struct variant *variant,
                      const struct perplexity *dense, FILE *out)
{
    struct perplexity result;
    char output[PATH_SIZE] = "";

    if (variant != NULL && settings->output != NULL) {
        export_path(output, sizeof output, settings, variant);
        if (access(output, F_OK) != 0)
            output[0] = '\0';
    }
    char ratio[32] = "-"; // of what is not known
    if (read_result(&result, settings, variant)) {
        if (variant == NULL || dense != NULL)
            snprintf(ratio, sizeof ratio, "%.3f",
                     dense != NULL ? result.perplexity / dense->perplexity : 1.0);
        fprintf(out, "%-*s %12.4f %9s  %s\n", variants_column(settings), variant_name(variant),
                result.perplexity, ratio, output);
    } else if (output[0] != '\0')
        fprintf(out, "%-*s %12s %9s  %s\n", variants_column(settings), variant->name, "-", "-", output);
}

static void print_budgets(const struct settings *settings, FILE *out)
{
    char text[160];
    for (size_t v = 0; v < settings->num_variants && settings_search(settings); v++)
        if (budget_text(text, sizeof text, settings, &settings->variants[v])[0] != '\0')
            fprintf(out, "%s: %s\n", settings->variants[v].name, text);
}

enum status results_print(const struct settings *settings, bool json, FILE *out, struct error *err)
{
    struct perplexity dense;
    const bool has_dense = read_result(&dense, settings, NULL);

    if (json) {
        json_t *list = json_array();
        json_array_append_new(list, result_to_json(settings, NULL));
        for (size_t v = 0; v < settings->num_variants; v++)
            json_array_append_new(list, result_to_json(settings, &settings->variants[v]));
        json_t *all = json_pack("{s:s, s:o}", "run", settings->run, "results", list);
        char *text = json_dumps(all, JSON_INDENT(2));
        json_decref(all);
        const enum status status = json_memory_check("the results", err);
        if (status == STATUS_OK)
            fprintf(out, "%s\n", text);
        free(text);
        return status;
    }
    if (has_dense)
        fprintf(out, "\nPerplexity at sequence length %llu, %llu windows of %s\n\n",
                (unsigned long long)dense.length, (unsigned long long)dense.windows,
                settings->perplexity != NULL ? settings->perplexity : "the corpus");
    print_budgets(settings, out);
    if (settings->perplexity == NULL && settings->output == NULL) {
        if (settings->num_tasks > 0)
            tasks_print(settings, out);
        return STATUS_OK;
    }
    fprintf(out, "%-*s %12s %9s  %s\n", variants_column(settings), "variant", "perplexity", "x dense",
            settings->output != NULL ? "model" : "");
    print_row(settings, NULL, NULL, out);
    for (size_t v = 0; v < settings->num_variants; v++)
        print_row(settings, &settings->variants[v], has_dense ? &dense : NULL, out);
    tasks_print(settings, out);
    return STATUS_OK;
}
