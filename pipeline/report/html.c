#include "io/file/run_paths.h"
#include "pipeline/report/cells.h"
#include "pipeline/report/layers.h"
#include "pipeline/report/members.h"
#include "pipeline/report/published.h"
#include "pipeline/report/report.h"
#include "pipeline/report/tasks.h"

#include "pipeline/text/duration.h"

#include <math.h>
#include <string.h>
#include <time.h>

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
        number_cell(page, target, 6);
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
    begin_table(page, names, sizeof names / sizeof *names - !tasks);
    json_array_foreach(models, i, model)
    {
        const json_t *perplexity = json_object_get(model, "perplexity");
        fprintf(page->out, "<tr%s>", is_best(models, model) ? " class=\"best\"" : "");
        text_cell(page, text_of(model, "variant"));
        text_cell(page, text_of(model, "series"));
        amount_cell(page, model);
        number_cell(page, json_object_get(model, "sparsity"), 4);
        number_cell(page, perplexity, 6);
        number_cell(page, json_object_get(model, "ratio"), 4);
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

static void write_published(const struct page *page)
{
    json_t *rows = json_array(), *model;
    size_t i;

    json_array_foreach(json_object_get(page->report, "models"), i, model)
    {
        if (json_object_get(model, "published") != NULL)
            json_array_append(rows, model);
    }
    published_write_html(rows, NULL, page->out);
    json_decref(rows);
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

// ---- time and provenance --------------------------------------------------------------------------------

static void write_starts(const struct page *page)
{
    static const char *const names[] = {"<started",   "<command", "ranks", "<process",
                                        "<Slurm job", "took",     "<ended"};
    size_t i;
    json_t *start;
    char date[40], length[24];

    begin_table(page, names, sizeof names / sizeof *names);
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
        number_cell(page, json_object_get(start, "ranks"), 6);
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
    end_table(page);
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
        write_number(page, value, 17);
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
    const json_t *hub = json_object_get(provenance, "hub");
    html_text(out, hub != NULL ? text_of(hub, "id") : text_of(json_object_get(provenance, "job"), "model"));
    if (hub != NULL) {
        fputs("</code> of the Hub, commit <code>", out);
        html_text(out, text_of(hub, "commit"));
    }
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
    write_plot(&page, "perplexity");
    write_plot(&page, "perplexity-patterns");
    write_plot(&page, "accuracy");
    write_plot(&page, "accuracy-patterns");
    write_models(&page);
    report_write_tasks(report, out);
    write_published(&page);
    fputs("<h2>Layers</h2>\n<p>Sparsity of every linear, and the centred energy of its rows before pruning, "
          "after "
          "it, and after compensation. Energies are those that were measured when the weights were "
          "written.</p>\n",
          out);
    write_layers(&page);
    if (has_rows(&page, "channels", "stream", DENSE_NAME)) {
        fprintf(out,
                "<h2>Channels</h2>\n<p>The inputs of the dense model's linears. Quantiles are over the "
                "channels' second "
                "moments; an outlier is a channel whose second moment is more than %g times the median "
                "one.</p>\n",
                REPORT_OUTLIER);
        write_channels(&page, DENSE_NAME);
    }
    if (json_object_size(json_object_get(report, "diagnostics")) > 0) {
        fputs("<h2>Alignment</h2>\n<p>Measured from the weights alone: means over all layers. Overlap is 1 "
              "where two "
              "subspaces are the same; by chance it is k / n, of k directions among n. All numbers are in "
              "report.json.</p>\n",
              out);
        for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++)
            write_plot(&page, alignments[i]);
    }
    fputs("<h2>Time</h2>\n", out);
    write_plot(&page, "times");
    write_starts(&page);
    fputs("<h2>Provenance</h2>\n<div class=\"wide\"><table class=\"facts\"><tbody>", out);
    write_facts(&page, "", (json_t *)provenance);
    fputs("</tbody></table></div>\n", out);
    html_end(out);
}
