#include "pipeline/report/compare_show.h"

#include "io/file/run_paths.h"
#include "pipeline/report/data/flat.h"
#include "pipeline/report/data/gather.h"
#include "pipeline/report/data/members.h"
#include "pipeline/report/page/html.h"
#include "pipeline/report/page/page.h"
#include "pipeline/report/page/pivot.h"
#include "pipeline/report/page/published_table.h"
#include "pipeline/report/page/save.h"
#include "pipeline/report/page/verdict.h"
#include "pipeline/report/plots/plots.h"
#include "pipeline/text/column.h"

#include <stdlib.h>

static void describe_run(char *line, size_t size, const json_t *run)
{
    const char *text = text_of(run, "text");
    const long long length = json_integer_value(json_object_get(run, "length"));
    int used =
        snprintf(line, size, "%s: %lld sequences of %lld tokens, seed %lld, propagation %s, ",
                 text_of(run, "run"), (long long)json_integer_value(json_object_get(run, "sequences")),
                 (long long)json_integer_value(json_object_get(run, "calibration_length")),
                 (long long)json_integer_value(json_object_get(run, "seed")), text_of(run, "propagation"));

    if (used < 0 || (size_t)used >= size)
        return;
    if (text_of(run, "compute")[0] != '\0')
        used += snprintf(line + used, size - (size_t)used, "computed in %s, ", text_of(run, "compute"));
    if ((size_t)used >= size)
        return;
    if (length == 0)
        snprintf(line + used, size - (size_t)used, "no perplexity measured");
    else
        snprintf(line + used, size - (size_t)used, "measured at length %lld%s%s", length,
                 text[0] != '\0' ? " on " : "", text);
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

// What runs have of each text and each task: {NAME: [of each run]} in a variant's row.
struct named {
    const char *list, *value; // the row's member, and that of a result
    const char *head;         // of a printed table, with the name
    const char *title;        // of one of the page
    double scale;
    int digits;
};
static const struct named of_texts = {"texts", "perplexity", "perplexity on %s", "Perplexity on %s", 1, 4},
                          of_tasks = {"tasks", "acc", "%s, acc in per cent", "%s, accuracy", 100, 2};

static void print_named(const json_t *comparison, const struct named *named, const char *name, FILE *out)
{
    char head[160];
    size_t i;
    json_t *row;

    snprintf(head, sizeof head, named->head, name);
    print_head(comparison, head, out);
    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        const json_t *values = json_object_get(json_object_get(row, named->list), name);
        if (values == NULL)
            continue;
        fprintf(out, "%-*s", names_column(comparison), text_of(row, "variant"));
        print_values(values, named->value, named->scale, named->digits, out);
    }
}

// Every text, or task, of any variant once, in the order in which they were found. One text alone is that of
// the first table.
static json_t *names_of(const json_t *comparison, const struct named *named)
{
    json_t *names = json_object(), *row, *values;
    const char *name;
    size_t i;

    json_array_foreach(json_object_get(comparison, "variants"), i, row)
    {
        json_object_foreach(json_object_get(row, named->list), name, values)
        {
            json_object_set_new(names, name, json_true());
        }
    }
    if (named == &of_texts && json_object_size(names) == 1)
        json_object_clear(names);
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

static void print_all_named(const json_t *comparison, const struct named *named, FILE *out)
{
    json_t *names = names_of(comparison, named), *unused;
    const char *name;

    json_object_foreach(names, name, unused)
    {
        print_named(comparison, named, name, out);
    }
    json_decref(names);
}

void compare_print(const json_t *comparison, FILE *out)
{
    char text[4400];
    size_t i, r;
    json_t *run, *row;

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
    print_all_named(comparison, &of_texts, out);
    show_published(comparison, published_print, out);
    print_all_named(comparison, &of_tasks, out);
}

// ---- the page -------------------------------------------------------------------------------------------

// A report for report_draw: the models of all runs, names and series with the number of their run.
static json_t *as_report(const json_t *reports)
{
    json_t *models = json_array(), *report, *model;
    char text[200];
    size_t i, r;

    json_array_foreach(reports, r, report)
    {
        json_array_foreach(json_object_get(report, "models"), i, model)
        {
            json_t *one = json_copy(model);
            const bool pruned = json_object_get(model, "choice") != NULL;
            if (json_array_size(reports) > 1) {
                snprintf(text, sizeof text, "[%zu] %s", r + 1, text_of(model, pruned ? "series" : "variant"));
                json_object_set_new(one, pruned ? "series" : "variant", json_string(text));
            }
            json_array_append_new(models, one);
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

// A table of first perplexities (named NULL), or of what runs have of a text or a task.
static void write_values(const json_t *comparison, const struct named *named, const char *name, FILE *out)
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
        const json_t *values = named != NULL ? json_object_get(json_object_get(row, named->list), name)
                                             : json_object_get(row, "perplexity");
        if (values == NULL)
            continue;
        fputs("<tr><td class=\"text\">", out);
        html_text(out, text_of(row, "variant"));
        fputs("</td>", out);
        json_array_foreach(values, r, value)
        {
            write_cell(named != NULL ? json_object_get(value, named->value) : value, out);
        }
        fputs("</tr>\n", out);
    }
    fputs("</tbody></table></div>\n", out);
}

static void write_all_named(const json_t *comparison, const struct named *named, FILE *out)
{
    json_t *names = names_of(comparison, named), *unused;
    const char *name;
    char title[160];

    json_object_foreach(names, name, unused)
    {
        snprintf(title, sizeof title, named->title, name);
        fputs("<h3>", out);
        html_text(out, title);
        fputs("</h3>\n", out);
        write_values(comparison, named, name, out);
    }
    json_decref(names);
}

static void write_run_name(const json_t *report, size_t r, FILE *out)
{
    fprintf(out, "[%zu] ", r + 1);
    html_text(out, text_of(report, "model"));
    fputs(", ", out);
    html_text(out, text_of(report, "run"));
}

// Every run by itself: against its own dense model.
static void write_verdicts(const json_t *comparison, const json_t *reports, FILE *out)
{
    char text[4400];
    size_t r;
    json_t *report;

    json_array_foreach(reports, r, report)
    {
        const struct page page = {report, NULL, out};
        fputs("<h3>", out);
        write_run_name(report, r, out);
        fputs("</h3>\n", out);
        write_verdict(&page, json_object_get(report, "models"));
        describe_run(text, sizeof text, json_array_get(json_object_get(comparison, "runs"), r));
        fputs("<p class=\"note\">", out);
        html_text(out, text);
        fputs(".</p>\n", out);
    }
}

static void write_each(const json_t *reports, FILE *out)
{
    size_t r;
    json_t *report;

    json_array_foreach(reports, r, report)
    {
        const struct page page = {report, NULL, out};
        fputs("<h2>", out);
        write_run_name(report, r, out);
        fputs("</h2>\n", out);
        write_pivots(&page, json_object_get(report, "models"));
        fputs("<details><summary>All variants, with their time and memory</summary>\n", out);
        write_models(&page);
        fputs("</details>\n", out);
    }
}

// The settings in which the runs differ, a column a run.
static void write_differences(const json_t *reports, FILE *out)
{
    static const char *const without[] = {"variants", "run", "output", "expected", NULL};
    const struct page page = {NULL, NULL, out};
    json_t *all = json_array(), *names = json_object(), *report, *unused, *flat;
    const char *name;
    bool any = false;
    size_t r;

    json_array_foreach(reports, r, report)
    {
        flat = json_object();
        flat_add(flat, "", json_object_get(json_object_get(report, "provenance"), "job"), without);
        json_object_update(names, flat);
        json_array_append_new(all, flat);
    }
    fputs("<h2>Settings that differ</h2>\n<div class=\"wide\"><table><tbody>", out);
    json_object_foreach(names, name, unused)
    {
        const json_t *first = json_object_get(json_array_get(all, 0), name);
        bool same = true;
        json_array_foreach(all, r, flat)
        {
            const json_t *its = json_object_get(flat, name);
            same = same && (its == first || json_equal(its, first));
        }
        if (same)
            continue;
        any = true;
        fputs("<tr>", out);
        head_cell(&page, name);
        json_array_foreach(all, r, flat)
        {
            fact_cell(&page, json_object_get(flat, name));
        }
        fputs("</tr>\n", out);
    }
    fprintf(out, "</tbody></table></div>\n%s", any ? "" : "<p>None, but the variants.</p>\n");
    json_decref(all);
    json_decref(names);
}

static void write_page(const json_t *comparison, const json_t *reports, const json_t *plots,
                       const char *no_plots, FILE *out)
{
    const struct page page = {NULL, plots, out};
    char title[64];
    size_t i;
    json_t *item;

    snprintf(title, sizeof title, "%zu pruning run%s side by side", json_array_size(reports),
             json_array_size(reports) == 1 ? "" : "s");
    html_begin(out, title);
    json_array_foreach(json_object_get(comparison, "warnings"), i, item)
    {
        fputs("<p class=\"warning\">Careful: ", out);
        html_text(out, json_string_value(item));
        fputs(".</p>\n", out);
    }
    write_verdicts(comparison, reports, out);
    if (no_plots != NULL)
        fprintf(out, "<p class=\"warning\">%s</p>\n", no_plots);
    fputs("<h2>Side by side</h2>\n<div class=\"plots\">\n", out);
    json_array_foreach(plots, i, item)
    {
        write_plot(&page, text_of(item, "id"));
    }
    fputs("</div>\n<h3>Perplexity</h3>\n", out);
    write_values(comparison, NULL, NULL, out);
    write_all_named(comparison, &of_texts, out);
    write_all_named(comparison, &of_tasks, out);
    show_published(comparison, published_write_html, out);
    write_each(reports, out);
    write_differences(reports, out);
    html_end(out);
}

static enum status gather_reports(json_t *reports, const json_t *comparison, struct error *err)
{
    size_t r;
    json_t *run, *report;

    json_array_foreach(json_object_get(comparison, "runs"), r, run)
    {
        FORWARD_IF_ERROR(report_gather(&report, text_of(run, "run"), err));
        json_array_append_new(reports, report);
    }
    return STATUS_OK;
}

enum status compare_write_page(const json_t *comparison, const char *path, struct error *err)
{
    json_t *reports = json_array(), *together = NULL, *plots = NULL;
    const char *no_plots;
    char *bytes = NULL;
    size_t size = 0;
    FILE *out;
    enum status status;

    GOTO_IF_ERROR(gather_reports(reports, comparison, err), done);
    together = as_report(reports);
    GOTO_IF_ERROR(report_draw(&plots, &no_plots, together, err), done);
    out = open_memstream(&bytes, &size);
    if (out != NULL)
        write_page(comparison, reports, plots, no_plots, out);
    if (out == NULL || fclose(out) != 0)
        status = error_set(err, STATUS_MEMORY, "out of memory for %s", path);
    else
        status = page_save(path, bytes, size, err);
done:
    free(bytes);
    json_decref(plots);
    json_decref(together);
    json_decref(reports);
    return status;
}
