#include "pipeline/report/data/uncertainty.h"

#include "io/file/sealed_json.h"
#include "pipeline/report/data/members.h"
#include "stages/evaluate/perplexity.h"

#include <math.h>

// [mean cross-entropy of each window], a new reference; NULL when the result is not there or was written by a
// version that kept none.
static json_t *window_nll_read(const struct settings *settings, size_t text, const struct variant *variant)
{
    char path[PATH_SIZE];
    json_t *result = NULL;

    perplexity_path(path, settings, text, variant);
    if (sealed_json_read(&result, path, NULL) != STATUS_OK)
        return NULL;
    json_t *windows = json_incref(json_object_get(result, "window_nll"));
    json_decref(result);
    return windows;
}

static double difference(const json_t *values, const json_t *minus, size_t i)
{
    return json_number_value(json_array_get(values, i)) - json_number_value(json_array_get(minus, i));
}

bool standard_error(double *error, const json_t *values, const json_t *minus)
{
    const size_t count = json_array_size(values);
    double mean = 0, squares = 0;

    *error = 0;
    if (count < 2 || (minus != NULL && json_array_size(minus) != count))
        return false;
    for (size_t i = 0; i < count; i++)
        mean += difference(values, minus, i) / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += (difference(values, minus, i) - mean) * (difference(values, minus, i) - mean);
    *error = sqrt(squares / (double)(count - 1) / (double)count);
    return true;
}

static void set_error(json_t *row, const char *key, double value)
{
    json_object_set_new(row, key, isfinite(value) ? json_real(value) : json_null()); // JSON has no infinities
}

void perplexity_errors_add(json_t *row, const struct settings *settings, size_t text,
                           const struct variant *variant)
{
    json_t *windows = window_nll_read(settings, text, variant);
    json_t *dense = variant != NULL ? window_nll_read(settings, text, NULL) : NULL;
    double error, value;

    if (number_of(&value, row, "perplexity") && standard_error(&error, windows, NULL))
        set_error(row, "perplexity_stderr", value * error);
    if (dense != NULL && number_of(&value, row, "ratio") && standard_error(&error, windows, dense))
        set_error(row, "ratio_stderr", value * error);
    json_decref(windows);
    json_decref(dense);
}

bool tasks_mean_error(double *error, const json_t *tasks)
{
    const char *name;
    json_t *task;
    double squares = 0, one;

    *error = 0;
    json_object_foreach((json_t *)tasks, name, task)
    {
        if (!number_of(&one, task, "acc_stderr"))
            return false;
        squares += one * one;
    }
    *error = json_object_size(tasks) > 0 ? sqrt(squares) / (double)json_object_size(tasks) : 0;
    return json_object_size(tasks) > 0;
}
