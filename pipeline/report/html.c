#include "pipeline/report/page.h"
#include "pipeline/report/report.h"
#include "pipeline/report/tasks.h"

#include "pipeline/text/duration.h"

#include <math.h>
#include <string.h>
#include <time.h>

// The page in the making.
struct page {
    const json_t *report, *plots;
    FILE *out;
};

// ---- small pieces ---------------------------------------------------------------------------------------

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void write_number(FILE *out, const json_t *value, int digits)
{
    if (json_is_integer(value))
        fprintf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_number(value))
        fprintf(out, "%.*g", digits, json_number_value(value));
    else
        fputs("&ndash;", out);
}

// A cell with what a sort goes by where that is not its text.
static void cell(const struct page *page, const json_t *value, int digits)
{
    fputs("<td", page->out);
    if (json_is_number(value))
        fprintf(page->out, " data-value=\"%.17g\"", json_number_value(value));
    fputs(">", page->out);
    write_number(page->out, value, digits);
    fputs("</td>", page->out);
}

static void text_cell(const struct page *page, const char *text)
{
    fputs("<td class=\"text\">", page->out);
    html_text(page->out, text);
    fputs("</td>", page->out);
}

static void plot(const struct page *page, const char *id)
{
    size_t i;
    json_t *item;

    json_array_foreach(page->plots, i, item)
    {
        const char *svg = json_string_value(json_object_get(item, "svg"));
        if (svg == NULL || strcmp(text_of(item, "id"), id) != 0)
            continue;
        fputs("<figure role=\"img\" aria-label=\"", page->out);
        html_text(page->out, text_of(item, "title"));
        fprintf(page->out, "\">%s<figcaption><b>", svg);
        html_text(page->out, text_of(item, "title"));
        fputs(".</b> ", page->out);
        html_text(page->out, text_of(item, "note"));
        fputs("</figcaption></figure>\n", page->out);
    }
}

// Names of columns; "<" before one says that it holds text.
static void head_cells(const struct page *page, const char *const *names, size_t count)
{
    fputs("<thead><tr>", page->out);
    for (size_t i = 0; i < count; i++) {
        const bool text = names[i][0] == '<';
        fprintf(page->out, "<th scope=\"col\"%s><button type=\"button\">", text ? " class=\"text\"" : "");
        html_text(page->out, names[i] + text);
        fputs("</button></th>", page->out);
    }
    fputs("</tr></thead>\n<tbody>", page->out);
}

// ---- variants -------------------------------------------------------------------------------------------

static void amount_cell(const struct page *page, const json_t *model)
{
    const json_t *choice = json_object_get(model, "choice");
    const json_t *pattern = json_object_get(choice, "pattern"), *target = json_object_get(model, "target");
    if (choice == NULL) {
        fputs("<td data-value=\"0\">dense</td>", page->out);
    } else if (json_is_string(pattern)) {
        fprintf(page->out, "<td data-value=\"%.17g\">", json_number_value(target));
        html_text(page->out, json_string_value(pattern));
        fputs("</td>", page->out);
    } else {
        cell(page, target, 6);
    }
}

// Of those with the same sparsity or pattern, the one with the lowest perplexity.
static bool is_best(const json_t *models, const json_t *model)
{
    const json_t *choice = json_object_get(model, "choice"), *mine = json_object_get(model, "perplexity");
    size_t i;
    json_t *other;

    if (choice == NULL || !json_is_number(mine))
        return false;
    json_array_foreach(models, i, other)
    {
        const json_t *rival = json_object_get(other, "choice"),
                     *theirs = json_object_get(other, "perplexity");
        const json_t *a = json_object_get(choice, "pattern"), *b = json_object_get(rival, "pattern");
        const bool same = a == NULL && b == NULL ? json_equal(json_object_get(choice, "sparsity"),
                                                              json_object_get(rival, "sparsity"))
                                                 : json_equal(a, b);
        if (same && json_is_number(theirs) && json_number_value(theirs) < json_number_value(mine))
            return false;
    }
    return true;
}

static void write_models(const struct page *page)
{
    static const char *const names[] = {
        "<variant",     "<method and compensation", "asked for", "sparsity", "perplexity", "times dense",
        "mean accuracy"};
    const json_t *models = json_object_get(page->report, "models");
    bool tasks = false;
    double accuracy;
    size_t i;
    json_t *model;

    json_array_foreach(models, i, model)
    {
        tasks = tasks || report_accuracy(&accuracy, model);
    }
    fputs("<div class=\"wide\"><table class=\"sortable\">", page->out);
    head_cells(page, names, sizeof names / sizeof *names - !tasks);
    json_array_foreach(models, i, model)
    {
        const json_t *perplexity = json_object_get(model, "perplexity");
        fprintf(page->out, "<tr%s>", is_best(models, model) ? " class=\"best\"" : "");
        text_cell(page, text_of(model, "variant"));
        text_cell(page, text_of(model, "series"));
        amount_cell(page, model);
        cell(page, json_object_get(model, "sparsity"), 4);
        cell(page, perplexity, 6);
        cell(page, json_object_get(model, "ratio"), 4);
        if (tasks && report_accuracy(&accuracy, model))
            fprintf(page->out, "<td>%.4f</td>", accuracy);
        else if (tasks)
            fputs("<td>&ndash;</td>", page->out);
        fputs("</tr>\n", page->out);
    }
    fputs("</tbody></table></div>\n<p class=\"note\">Marked: the lowest perplexity at each sparsity and "
          "pattern. A click on a column's head sorts.</p>\n",
          page->out);
}

static void write_evaluation(const struct page *page)
{
    const json_t *dense = json_array_get(json_object_get(page->report, "models"), 0), *row = NULL;
    json_t *model;
    size_t i;

    json_array_foreach(json_object_get(page->report, "models"), i, model)
    {
        if (row == NULL && json_object_get(model, "perplexity") != NULL)
            row = model;
    }
    if (row == NULL)
        row = dense;
    if (json_object_get(row, "length") == NULL) {
        fputs("<p>No perplexity has been measured.</p>\n", page->out);
        return;
    }
    const json_t *job = json_object_get(json_object_get(page->report, "provenance"), "job");
    fprintf(page->out,
            "<p>Perplexity at sequence length %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
            " windows of <code>",
            json_integer_value(json_object_get(row, "length")),
            json_integer_value(json_object_get(row, "windows")));
    html_text(page->out, text_of(json_object_get(job, "evaluate"), "perplexity"));
    fputs("</code>.</p>\n", page->out);
}

// ---- linears --------------------------------------------------------------------------------------------

static void share_cell(const struct page *page, const json_t *row, const char *key)
{
    const double before = json_number_value(json_object_get(row, "energy_before"));
    const json_t *energy = json_object_get(row, key);
    if (!json_is_number(energy) || !(before > 0))
        fputs("<td>&ndash;</td>", page->out);
    else
        fprintf(page->out, "<td>%.2f %%</td>", 100 * json_number_value(energy) / before);
}

static void error_cell(const struct page *page, const json_t *row, const char *key)
{
    const json_t *error = json_object_get(row, key);
    if (json_is_number(error))
        fprintf(page->out, "<td>%.2f %%</td>", 100 * json_number_value(error));
    else
        fputs("<td>&ndash;</td>", page->out);
}

// What the guard kept of the compensation that was asked for; what auto chose.
static void kept_cell(const struct page *page, const json_t *row)
{
    const json_t *energy = json_object_get(row, "energy_kept"), *output = json_object_get(row, "output_kept");
    char text[40];
    snprintf(text, sizeof text, "%s%s%s", json_is_true(energy) ? "energy" : "",
             json_is_true(energy) && json_is_true(output) ? ", " : "", json_is_true(output) ? "output" : "");
    text_cell(page, text[0] != '\0' ? text : energy != NULL || output != NULL ? "nothing" : "");
}

static void choice_cell(const struct page *page, const json_t *row)
{
    const json_t *choice = json_object_get(row, "choice");
    char text[120] = "";
    if (choice != NULL)
        snprintf(text, sizeof text, "%s, exponent %g, alpha %g", text_of(choice, "method"),
                 json_number_value(json_object_get(choice, "activation_exponent")),
                 json_number_value(json_object_get(choice, "alpha")));
    text_cell(page, text);
}

static void write_linears(const struct page *page, const char *variant)
{
    static const char *const names[] = {"layer",
                                        "<linear",
                                        "weights",
                                        "sparsity",
                                        "energy before",
                                        "after pruning",
                                        "after compensation",
                                        "output error, pruned",
                                        "compensated",
                                        "<kept",
                                        "<chosen"};
    size_t i;
    json_t *row;

    fputs("<div class=\"wide\"><table class=\"sortable\">", page->out);
    head_cells(page, names, sizeof names / sizeof *names);
    json_array_foreach(json_object_get(page->report, "linears"), i, row)
    {
        if (strcmp(text_of(row, "variant"), variant) != 0)
            continue;
        fputs("<tr>", page->out);
        cell(page, json_object_get(row, "layer"), 6);
        text_cell(page, text_of(row, "linear"));
        cell(page, json_object_get(row, "weights"), 6);
        cell(page, json_object_get(row, "sparsity"), 4);
        cell(page, json_object_get(row, "energy_before"), 5);
        share_cell(page, row, "energy_pruned");
        share_cell(page, row, "energy_compensated");
        error_cell(page, row, "output_error_pruned");
        error_cell(page, row, "output_error_compensated");
        kept_cell(page, row);
        choice_cell(page, row);
        fputs("</tr>\n", page->out);
    }
    fputs("</tbody></table></div>\n", page->out);
}

static void write_channels(const struct page *page, const char *stream)
{
    static const char *const names[] = {"layer",      "<linear", "channels", "outliers", "largest magnitude",
                                        "in channel", "5 %",     "median",   "95 %",     "99 %",
                                        "largest"};
    static const char *const points[] = {"p05", "median", "p95", "p99", "max"};
    char id[200];
    size_t i;
    json_t *row;

    snprintf(id, sizeof id, "channels-%s", stream);
    plot(page, id);
    fputs("<details><summary>All linears</summary><div class=\"wide\"><table class=\"sortable\">", page->out);
    head_cells(page, names, sizeof names / sizeof *names);
    json_array_foreach(json_object_get(page->report, "channels"), i, row)
    {
        if (strcmp(text_of(row, "stream"), stream) != 0)
            continue;
        fputs("<tr>", page->out);
        cell(page, json_object_get(row, "layer"), 6);
        text_cell(page, text_of(row, "linear"));
        cell(page, json_object_get(row, "channels"), 6);
        cell(page, json_object_get(row, "outliers"), 6);
        cell(page, json_object_get(row, "max_abs"), 4);
        cell(page, json_object_get(row, "max_abs_channel"), 6);
        for (size_t p = 0; p < sizeof points / sizeof *points; p++)
            cell(page, json_object_get(json_object_get(row, "second_moment"), points[p]), 3);
        fputs("</tr>\n", page->out);
    }
    fputs("</tbody></table></div></details>\n", page->out);
}

static bool has_rows(const struct page *page, const char *table, const char *key, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(page->report, table), i, row)
    {
        if (strcmp(text_of(row, key), name) == 0)
            return true;
    }
    return false;
}

// Where owl put the sparsity.
static void write_allocation(const struct page *page, const json_t *allocation)
{
    static const char *const names[] = {"layer", "outliers among its scores", "sparsity asked for"};
    size_t i;
    json_t *row;

    if (json_array_size(allocation) == 0)
        return;
    fputs("<div class=\"wide\"><table class=\"sortable\">", page->out);
    head_cells(page, names, sizeof names / sizeof *names);
    json_array_foreach(allocation, i, row)
    {
        fputs("<tr>", page->out);
        cell(page, json_object_get(row, "layer"), 6);
        cell(page, json_object_get(row, "outlier_ratio"), 4);
        cell(page, json_object_get(row, "sparsity"), 5);
        fputs("</tr>\n", page->out);
    }
    fputs("</tbody></table></div>\n", page->out);
}

// What is known of each variant's layers, folded away.
static void write_details(const struct page *page)
{
    char id[200];
    size_t i;
    json_t *model;

    json_array_foreach(json_object_get(page->report, "models"), i, model)
    {
        const char *variant = text_of(model, "variant");
        if (!has_rows(page, "linears", "variant", variant))
            continue;
        fputs("<details><summary>", page->out);
        html_text(page->out, variant);
        fputs("</summary>\n", page->out);
        snprintf(id, sizeof id, "energy-%s", variant);
        plot(page, id);
        write_allocation(page, json_object_get(model, "allocation"));
        write_linears(page, variant);
        if (strcmp(variant, "dense") != 0 && has_rows(page, "channels", "stream", variant)) {
            fputs("<h3>Inputs of the linears</h3>\n", page->out);
            write_channels(page, variant);
        }
        fputs("</details>\n", page->out);
    }
}

// ---- time and provenance --------------------------------------------------------------------------------

static void write_starts(const struct page *page)
{
    static const char *const names[] = {"<started",   "<command", "ranks", "<process",
                                        "<Slurm job", "took",     "<ended"};
    size_t i;
    json_t *start;
    char date[40], length[24];

    fputs("<div class=\"wide\"><table class=\"sortable\">", page->out);
    head_cells(page, names, sizeof names / sizeof *names);
    json_array_foreach(json_object_get(page->report, "starts"), i, start)
    {
        const time_t seconds = (time_t)json_number_value(json_object_get(start, "time"));
        const json_t *took = json_object_get(start, "seconds");
        struct tm utc;
        gmtime_r(&seconds, &utc);
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S UTC", &utc);
        fputs("<tr>", page->out);
        text_cell(page, date);
        text_cell(page, text_of(start, "command"));
        cell(page, json_object_get(start, "ranks"), 6);
        text_cell(page, text_of(start, "process"));
        text_cell(page, text_of(start, "slurm_job"));
        fprintf(page->out, "<td data-value=\"%.17g\">%s</td>", json_number_value(took),
                took != NULL ? duration_format(json_number_value(took), length, sizeof length) : "&ndash;");
        if (took == NULL)
            text_cell(page, "no line says so");
        else if (json_integer_value(json_object_get(start, "exit_code")) == 0)
            text_cell(page, "done");
        else
            text_cell(page, text_of(start, "message"));
        fputs("</tr>\n", page->out);
    }
    fputs("</tbody></table></div>\n", page->out);
}

// Every value below `value` as a row, its path joined with dots. Variants have a table of their own.
static void write_facts(const struct page *page, const char *path, json_t *value)
{
    const char *name;
    json_t *member;
    size_t i;
    char longer[512];

    if (strcmp(path, "job.variants") == 0)
        return;
    json_object_foreach(value, name, member)
    {
        snprintf(longer, sizeof longer, "%s%s%s", path, path[0] != '\0' ? "." : "", name);
        write_facts(page, longer, member);
    }
    json_array_foreach(value, i, member)
    {
        snprintf(longer, sizeof longer, "%s.%zu", path, i);
        write_facts(page, longer, member);
    }
    if (json_is_object(value) || json_is_array(value))
        return;
    fputs("<tr><th scope=\"row\">", page->out);
    html_text(page->out, path);
    fputs("</th><td class=\"text\">", page->out);
    if (json_is_string(value))
        html_text(page->out, json_string_value(value));
    else if (json_is_boolean(value))
        fputs(json_is_true(value) ? "true" : "false", page->out);
    else
        write_number(page->out, value, 17);
    fputs("</td></tr>\n", page->out);
}

static void write_missing(const struct page *page)
{
    const json_t *missing = json_object_get(page->report, "missing");
    size_t i;
    json_t *text;

    if (json_array_size(missing) == 0)
        return;
    fputs("<div class=\"warning\"><p>Not in this report:</p><ul>", page->out);
    json_array_foreach(missing, i, text)
    {
        fputs("<li>", page->out);
        html_text(page->out, json_string_value(text));
        fputs("</li>\n", page->out);
    }
    fputs("</ul></div>\n", page->out);
}

// ---- the whole ------------------------------------------------------------------------------------------

void report_write_html(const json_t *report, const json_t *plots, const char *no_plots, FILE *out)
{
    const struct page page = {report, plots, out};
    const json_t *provenance = json_object_get(report, "provenance");
    static const char *const alignments[] = {
        "adjacent",          "query-key",          "value-output",          "commutator",
        "adjacent-patterns", "query-key-patterns", "value-output-patterns", "commutator-patterns"};

    html_begin(out, "Pruning report");
    fputs("<p class=\"lead\">Model <code>", out);
    html_text(out, text_of(json_object_get(provenance, "job"), "model"));
    fputs("</code>, run <code>", out);
    html_text(out, text_of(report, "run"));
    fputs("</code>. The same numbers: <a href=\"report.csv\">report.csv</a>, <a "
          "href=\"report.json\">report.json</a>."
          "</p>\n",
          out);
    write_missing(&page);
    if (no_plots != NULL)
        fprintf(out, "<p class=\"warning\">%s</p>\n", no_plots);
    fputs("<h2>Results</h2>\n", out);
    write_evaluation(&page);
    plot(&page, "perplexity");
    plot(&page, "perplexity-patterns");
    plot(&page, "accuracy");
    plot(&page, "accuracy-patterns");
    write_models(&page);
    report_write_tasks(report, out);
    fputs("<h2>Layers</h2>\n<p>Sparsity of every linear, and the centred energy of its rows before pruning, "
          "after "
          "it, and after compensation. Energies are those that were measured when the weights were "
          "written.</p>\n",
          out);
    write_details(&page);
    if (has_rows(&page, "channels", "stream", "dense")) {
        fprintf(out,
                "<h2>Channels</h2>\n<p>What the linears of the dense model get. Quantiles are of the "
                "channels' second "
                "moments; an outlier is a channel whose second moment is more than %g times the median "
                "one.</p>\n",
                REPORT_OUTLIER);
        write_channels(&page, "dense");
    }
    if (json_object_size(json_object_get(report, "diagnostics")) > 0) {
        fputs("<h2>Alignment</h2>\n<p>Measured from the weights alone: means over all layers. Overlap is 1 "
              "where two "
              "subspaces are the same; by chance it is k / n, of k directions among n. All numbers are in "
              "report.json.</p>\n",
              out);
        for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++)
            plot(&page, alignments[i]);
    }
    fputs("<h2>Time</h2>\n", out);
    plot(&page, "times");
    write_starts(&page);
    fputs("<h2>Provenance</h2>\n<div class=\"wide\"><table class=\"facts\"><tbody>", out);
    write_facts(&page, "", (json_t *)provenance);
    fputs("</tbody></table></div>\n", out);
    html_end(out);
}
