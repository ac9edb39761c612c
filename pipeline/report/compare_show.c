#include "pipeline/report/compare_show.h"

#include "io/file/commit.h"
#include "io/file/run_paths.h"
#include "pipeline/report/members.h"
#include "pipeline/report/page.h"
#include "pipeline/report/published.h"
#include "pipeline/report/report.h"
#include "pipeline/text/column.h"

#include <stdlib.h>

static void describe_run(char *text, size_t size, const json_t *run)
{
    snprintf(text, size,
             "%s: %lld sequences of %lld tokens, seed %lld, propagation %s, measured at length %lld",
             text_of(run, "run"), (long long)json_integer_value(json_object_get(run, "sequences")),
             (long long)json_integer_value(json_object_get(run, "calibration_length")),
             (long long)json_integer_value(json_object_get(run, "seed")), text_of(run, "propagation"),
             (long long)json_integer_value(json_object_get(run, "length")));
}

static int names_column(const json_t *comparison)
{
    int column = NAME_COLUMN;
    size_t i;
    json_t *row;

    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        column = column_with(column, text_of(row, "variant"));
    }
    return column;
}

static void print_head(const json_t *comparison, const char *what, FILE *out)
{
    char text[32];
    fprintf(out, "\n%-*s", names_column(comparison), what);
    for (size_t r = 0; r < json_array_size(json_object_get(comparison, "runs")); r++) {
        snprintf(text, sizeof text, "[%zu]", r + 1);
        fprintf(out, " %12s", text);
    }
    fprintf(out, "\n");
}

// One row: a number of each run, times `scale`; NULL: none.
static void print_values(const json_t *values, const char *key, double scale, int digits, FILE *out)
{
    size_t r;
    json_t *value;
    json_array_foreach(values, r, value)
    {
        const json_t *number = key != NULL ? json_object_get(value, key) : value;
        if (json_is_number(number))
            fprintf(out, " %12.*f", digits, scale * json_number_value(number));
        else
            fprintf(out, " %12s", "-");
    }
    fprintf(out, "\n");
}

static void print_task(const json_t *comparison, const char *task, FILE *out)
{
    char head[128];
    size_t i;
    json_t *row;

    snprintf(head, sizeof head, "%s, acc in per cent", task);
    print_head(comparison, head, out);
    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        const json_t *values = json_object_get(json_object_get(row, "tasks"), task);
        if (values == NULL)
            continue;
        fprintf(out, "%-*s", names_column(comparison), text_of(row, "variant"));
        print_values(values, "acc", 100, 2, out);
    }
}

// Every task of any variant once, in the order in which they were found.
static json_t *task_names(const json_t *comparison)
{
    json_t *names = json_object(), *row, *values;
    const char *name;
    size_t i;

    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        json_object_foreach(json_object_get(row, "tasks"), name, values)
        {
            json_object_set_new(names, name, json_true());
        }
    }
    return names;
}

// What is expected of the variants in run r, as published.h takes it. New reference.
static json_t *published_rows(const json_t *comparison, size_t r)
{
    json_t *rows = json_array(), *row;
    size_t i;

    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        json_t *published = json_array_get(json_object_get(row, "published"), r);
        if (json_is_object(published))
            json_array_append_new(rows, json_pack("{s:O, s:O}", "variant", json_object_get(row, "variant"),
                                                  "published", published));
    }
    return rows;
}

// A table for each run that expects something. show: published_print or published_write_html.
static void show_published(const json_t *comparison,
                           void (*show)(const json_t *rows, const char *run, FILE *out), FILE *out)
{
    char run[32];

    for (size_t r = 0; r < json_array_size(json_object_get(comparison, "runs")); r++) {
        json_t *rows = published_rows(comparison, r);
        snprintf(run, sizeof run, "[%zu]", r + 1);
        show(rows, run, out);
        json_decref(rows);
    }
}

void compare_print(const json_t *comparison, FILE *out)
{
    char text[4400];
    size_t i, r;
    json_t *run, *row, *names = task_names(comparison), *unused;
    const char *name;

    json_array_foreach(json_object_get(comparison, "runs"), r, run)
    {
        describe_run(text, sizeof text, run);
        fprintf(out, "[%zu] %s\n", r + 1, text);
    }
    print_head(comparison, "perplexity", out);
    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        fprintf(out, "%-*s", names_column(comparison), text_of(row, "variant"));
        print_values(json_object_get(row, "perplexity"), NULL, 1, 4, out);
    }
    show_published(comparison, published_print, out);
    json_object_foreach(names, name, unused)
    {
        print_task(comparison, name, out);
    }
    json_decref(names);
}

// A report for report_draw: every variant of every run as a model of its own, its series named after the run.
static json_t *as_report(const json_t *comparison)
{
    json_t *models = json_array(), *row, *value,
           *first = json_array_get(json_object_get(comparison, "variants"), 0);
    char series[160];
    size_t i, r;

    json_array_append_new(models, json_pack("{s:s, s:O}", "variant", DENSE_NAME, "perplexity",
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

static void write_cell(const json_t *value, FILE *out)
{
    if (json_is_number(value))
        fprintf(out, "<td data-value=\"%.17g\">%.4f</td>", json_number_value(value),
                json_number_value(value));
    else
        fputs("<td>&ndash;</td>", out);
}

// A table of perplexities (task NULL) or of accuracies on a task.
static void write_values(const json_t *comparison, const char *task, FILE *out)
{
    size_t i, r;
    json_t *row, *value;

    fputs("<div class=\"wide\"><table class=\"sortable\"><thead><tr><th scope=\"col\" class=\"text\">"
          "<button type=\"button\">variant</button></th>",
          out);
    for (r = 0; r < json_array_size(json_object_get(comparison, "runs")); r++)
        fprintf(out, "<th scope=\"col\"><button type=\"button\">[%zu]</button></th>", r + 1);
    fputs("</tr></thead>\n<tbody>", out);
    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        const json_t *values = task != NULL ? json_object_get(json_object_get(row, "tasks"), task)
                                            : json_object_get(row, "perplexity");
        if (values == NULL)
            continue;
        fputs("<tr><td class=\"text\">", out);
        html_text(out, text_of(row, "variant"));
        fputs("</td>", out);
        json_array_foreach(values, r, value)
        {
            write_cell(task != NULL ? json_object_get(value, "acc") : value, out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

static void write_page(const json_t *comparison, const json_t *plots, const char *no_plots, FILE *out)
{
    char text[4400];
    size_t i, r;
    json_t *item;

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
    write_values(comparison, NULL, out);
    show_published(comparison, published_write_html, out);
    json_t *names = task_names(comparison);
    const char *name;
    json_object_foreach(names, name, item)
    {
        fputs("<h2>", out);
        html_text(out, name);
        fputs(", accuracy</h2>\n", out);
        write_values(comparison, name, out);
    }
    json_decref(names);
    html_end(out);
}

enum status compare_write_page(const json_t *comparison, const char *path, struct error *err)
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
