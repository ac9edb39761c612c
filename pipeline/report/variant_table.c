#include "pipeline/report/variant_table.h"

#include "io/file/json.h"
#include "io/file/json_memory.h"
#include "pipeline/job/texts.h"
#include "pipeline/report/data/flat.h"
#include "pipeline/report/data/gather.h"
#include "pipeline/text/number.h"
#include "pipeline/text/say.h"

#include <string.h>

// ---- rows -----------------------------------------------------------------------------------------------

static void copy(json_t *row, const char *name, const json_t *from, const char *key)
{
    json_t *value = json_object_get(from, key);
    json_object_set(row, name, value != NULL ? value : json_null());
}

// The files of the texts, apart by blanks; their names are in the columns of what was measured.
static json_t *text_files(const json_t *texts)
{
    json_t *files = json_null();
    for (size_t i = 0; i < texts_json_count(texts); i++) {
        const json_t *text = texts_json_at(texts, i), *data = json_object_get(text, "data");
        const char *file = json_string_value(data != NULL ? data : text);
        json_t *longer = i > 0 ? json_sprintf("%s %s", json_string_value(files), file) : json_string(file);
        json_decref(files);
        files = longer;
    }
    return files;
}

static void add_settings(json_t *row, const json_t *report, const json_t *model)
{
    static const char *const of_variant[] = {"name", "method", "sparsity", "pattern", NULL};
    static const char *const of_job[] = {
        "model", "run", "output", "variants", "expected", "evaluate.tasks", "evaluate.perplexity", NULL};
    json_t *job = json_object_get(json_object_get(report, "provenance"), "job"),
           *choice = json_object_get(model, "choice");

    copy(row, "run", report, "run");
    copy(row, "model", report, "model");
    copy(row, "variant", model, "variant");
    copy(row, "method", choice, "method");
    copy(row, "sparsity_asked", model, "target");
    copy(row, "pattern", choice, "pattern");
    flat_add(row, "", choice, of_variant);
    flat_add(row, "", job, of_job);
    json_object_set_new(row, "evaluate.perplexity",
                        text_files(json_object_get(json_object_get(job, "evaluate"), "perplexity")));
}

static void add_measured(json_t *row, const json_t *model)
{
    static const struct {
        const char *name, *key;
    } columns[] = {{"sparsity", "sparsity"},
                   {"kept", "kept"},
                   {"weights", "weights"},
                   {"perplexity", "perplexity"},
                   {"perplexity_stderr", "perplexity_stderr"},
                   {"times_dense", "ratio"},
                   {"times_dense_stderr", "ratio_stderr"},
                   {"windows", "windows"},
                   {"length", "length"}};
    static const char *const of_task[] = {"acc", "acc_stderr", "acc_norm", "acc_norm_stderr"};
    const char *name;
    json_t *task, *seconds, *published;
    char column[256];

    for (size_t c = 0; c < sizeof columns / sizeof *columns; c++)
        copy(row, columns[c].name, model, columns[c].key);
    json_object_foreach(json_object_get(model, "texts"), name, task)
    {
        snprintf(column, sizeof column, "%s.perplexity", name);
        copy(row, column, task, "perplexity");
        snprintf(column, sizeof column, "%s.times_dense", name);
        copy(row, column, task, "ratio");
    }
    json_object_foreach(json_object_get(model, "tasks"), name, task)
    {
        for (size_t k = 0; k < sizeof of_task / sizeof *of_task; k++) {
            snprintf(column, sizeof column, "%s.%s", name, of_task[k]);
            if (json_object_get(task, of_task[k]) != NULL)
                copy(row, column, task, of_task[k]);
        }
    }
    published = json_object_get(model, "published");
    copy(row, "published", published, "perplexity");
    copy(row, "published_length", published, "length");
    copy(row, "published_difference", published, "difference");
    copy(row, "accuracy", model, "accuracy");
    copy(row, "accuracy_stderr", model, "accuracy_stderr");
    json_object_foreach(json_object_get(model, "seconds"), name, seconds)
    {
        snprintf(column, sizeof column, "%s.seconds", name);
        json_object_set(row, column, seconds);
    }
    copy(row, "rank_seconds", model, "rank_seconds");
    copy(row, "peak_memory", model, "peak_memory");
}

void variant_table_add(json_t *rows, const json_t *report)
{
    size_t i;
    json_t *model;

    json_array_foreach(json_object_get(report, "models"), i, model)
    {
        json_t *row = json_object();
        add_settings(row, report, model);
        add_measured(row, model);
        json_array_append_new(rows, row);
    }
}

// ---- columns --------------------------------------------------------------------------------------------

// Whether any row has something there, besides null.
static bool is_used(const json_t *rows, const char *name)
{
    size_t i;
    json_t *row;

    json_array_foreach(rows, i, row)
    {
        const json_t *value = json_object_get(row, name);
        if (value != NULL && !json_is_null(value))
            return true;
    }
    return false;
}

// Names of all columns that are used. A row's own order is kept: a name that is new goes after the one before
// it in its row. New reference.
static json_t *column_names(const json_t *rows)
{
    json_t *names = json_array(), *known = json_object(), *row, *value, *other;
    const char *name;
    size_t i, k;

    json_array_foreach(rows, i, row)
    {
        size_t place = 0;
        json_object_foreach(row, name, value)
        {
            if (json_object_get(known, name) == NULL) {
                json_array_insert_new(names, place, json_string(name));
                json_object_set_new(known, name, json_true());
            }
            json_array_foreach(names, k, other)
            {
                if (strcmp(json_string_value(other), name) == 0)
                    place = k + 1;
            }
        }
    }
    json_decref(known);
    for (k = json_array_size(names); k-- > 0;)
        if (!is_used(rows, json_string_value(json_array_get(names, k))))
            json_array_remove(names, k);
    return names;
}

// Every row with every column. New reference.
static json_t *completed(const json_t *rows)
{
    json_t *names = column_names(rows), *all = json_array(), *row, *name;
    size_t i, k;

    json_array_foreach(rows, i, row)
    {
        json_t *whole = json_object();
        json_array_foreach(names, k, name)
        {
            copy(whole, json_string_value(name), row, json_string_value(name));
        }
        json_array_append_new(all, whole);
    }
    json_decref(names);
    return all;
}

// ---- text -----------------------------------------------------------------------------------------------

// What a spreadsheet would run as a formula begins with one of these, after blanks as well.
static bool looks_like_a_formula(const char *text)
{
    while ((unsigned char)*text <= ' ' && *text != '\0')
        text++;
    return *text != '\0' && strchr("=+-@", *text) != NULL;
}

static void write_text(const char *text, FILE *out)
{
    const bool formula = looks_like_a_formula(text), quoted = formula || strpbrk(text, ",\"") != NULL;

    fprintf(out, "%s%s", quoted ? "\"" : "", formula ? "'" : "");
    for (; *text != '\0'; text++) {
        const unsigned char byte = (unsigned char)*text;
        if (byte == '"')
            fputc('"', out);
        fputc(byte < ' ' || byte == 0x7f ? ' ' : byte, out);
    }
    fputs(quoted ? "\"" : "", out);
}

static void write_value(const json_t *value, FILE *out)
{
    char number[32];

    if (json_is_string(value))
        write_text(json_string_value(value), out);
    else if (json_is_integer(value))
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        fputs(number_format(json_real_value(value), number, sizeof number), out);
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "true" : "false", out);
}

void variant_table_write_csv(const json_t *rows, FILE *out)
{
    json_t *names = column_names(rows), *row, *name;
    size_t i, k;

    json_array_foreach(names, k, name)
    {
        fputs(k > 0 ? "," : "", out);
        write_text(json_string_value(name), out);
    }
    fputs("\n", out);
    json_array_foreach(rows, i, row)
    {
        json_array_foreach(names, k, name)
        {
            fputs(k > 0 ? "," : "", out);
            write_value(json_object_get(row, json_string_value(name)), out);
        }
        fputs("\n", out);
    }
    json_decref(names);
}

static enum status add_run(json_t *rows, const char *run, FILE *warnings, struct error *err)
{
    json_t *report = NULL, *text;
    size_t i;

    FORWARD_IF_ERROR(report_gather(&report, run, err));
    variant_table_add(rows, report);
    json_array_foreach(json_object_get(report, "missing"), i, text)
    {
        say(warnings, "careful: %s", json_string_value(text));
    }
    json_decref(report);
    return STATUS_OK;
}

enum status variant_table_print(const char *const *runs, size_t count, bool json, FILE *out, FILE *warnings,
                                struct error *err)
{
    json_t *rows = json_array(), *all = NULL;
    enum status status = STATUS_OK;

    for (size_t r = 0; r < count && status == STATUS_OK; r++)
        status = add_run(rows, runs[r], warnings, err);
    if (status == STATUS_OK) {
        all = completed(rows);
        status = json_memory_check("the results", err);
    }
    if (status == STATUS_OK && json) {
        json_print(all, out);
    } else if (status == STATUS_OK) {
        variant_table_write_csv(all, out);
    }
    json_decref(all);
    json_decref(rows);
    return status;
}
