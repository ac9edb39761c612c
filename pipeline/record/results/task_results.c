#include "pipeline/record/results/task_results.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "pipeline/job/variant.h"
#include "stages/evaluate/tasks.h"
#include "stages/stage.h"

#include <string.h>
#include <unistd.h>

json_t *tasks_to_json(const struct settings *settings, const struct variant *variant, json_t *missing)
{
    static const char *const elsewhere[] = {"task", "variant", "measured_with", "xxh3"};
    json_t *tasks = json_object();

    for (size_t i = 0; i < settings->num_tasks; i++) {
        char path[PATH_SIZE];
        struct error why = {0};
        json_t *result = NULL;
        task_result_path(path, settings, i, variant);
        if (access(path, F_OK) != 0)
            continue;
        if (sealed_json_read(&result, path, &why) != STATUS_OK) {
            if (missing != NULL)
                json_array_append_new(missing, json_string(why.message));
            continue;
        }
        for (size_t k = 0; k < sizeof elsewhere / sizeof *elsewhere; k++)
            json_object_del(result, elsewhere[k]);
        json_object_set_new(tasks, settings->tasks[i].name, result);
    }
    return tasks;
}

bool tasks_mean(double *mean, const json_t *tasks)
{
    const char *name;
    json_t *task;
    double sum = 0;
    size_t count = 0;

    json_object_foreach((json_t *)tasks, name, task)
    {
        const json_t *accuracy = json_object_get(task, "acc");
        sum += json_number_value(accuracy);
        count += json_is_number(accuracy);
    }
    *mean = count > 0 ? sum / (double)count : 0;
    return count > 0;
}

// ---- for people -----------------------------------------------------------------------------------------

// A column is as wide as its task's name, and wide enough for a number.
enum { NARROWEST = 8 };

static int width_of(const char *name)
{
    const size_t length = strlen(name);
    return length > NARROWEST ? (int)length : NARROWEST;
}

static void print_head(const struct settings *settings, FILE *out)
{
    fprintf(out, "\nAccuracy in per cent\n\n%-*s", variants_column(settings), "variant");
    for (size_t i = 0; i < settings->num_tasks; i++)
        fprintf(out, " %*s", width_of(settings->tasks[i].name), settings->tasks[i].name);
    if (settings->num_tasks > 1)
        fprintf(out, " %*s", NARROWEST, "mean");
    fprintf(out, "\n");
}

static void print_share(bool there, double share, int width, FILE *out)
{
    if (there)
        fprintf(out, " %*.2f", width, 100 * share);
    else
        fprintf(out, " %*s", width, "-");
}

static void print_row(const struct settings *settings, const struct variant *variant, FILE *out)
{
    json_t *tasks = tasks_to_json(settings, variant, NULL);
    double mean;

    if (!tasks_mean(&mean, tasks)) {
        json_decref(tasks);
        return;
    }
    fprintf(out, "%-*s", variants_column(settings), variant_name(variant));
    for (size_t i = 0; i < settings->num_tasks; i++) {
        const char *name = settings->tasks[i].name;
        const json_t *accuracy = json_object_get(json_object_get(tasks, name), "acc");
        print_share(json_is_number(accuracy), json_number_value(accuracy), width_of(name), out);
    }
    // A mean over some of the tasks cannot be compared with one over all.
    if (settings->num_tasks > 1)
        print_share(json_object_size(tasks) == settings->num_tasks, mean, NARROWEST, out);
    fprintf(out, "\n");
    json_decref(tasks);
}

void tasks_print(const struct settings *settings, FILE *out)
{
    if (settings->num_tasks == 0)
        return;
    print_head(settings, out);
    print_row(settings, NULL, out);
    for (size_t v = 0; v < settings->num_variants; v++)
        print_row(settings, &settings->variants[v], out);
}
