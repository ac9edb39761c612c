#include "pipeline/report/page/html.h"

#include "io/file/run_paths.h"
#include "pipeline/job/texts.h"
#include "pipeline/report/data/flat.h"
#include "pipeline/report/data/gather.h"
#include "pipeline/report/data/levels.h"
#include "pipeline/report/data/members.h"
#include "pipeline/report/page/cells.h"
#include "pipeline/report/page/layers.h"
#include "pipeline/report/page/pivot.h"
#include "pipeline/report/page/published_table.h"
#include "pipeline/report/page/tasks.h"
#include "pipeline/report/page/texts.h"
#include "pipeline/report/page/verdict.h"

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

static void amount_of_memory(const struct page *page, const json_t *model)
{
    double bytes;
    if (number_of(&bytes, model, "peak_memory"))
        fprintf(page->out, "<td data-value=\"%.17g\">%.0f MiB</td>", bytes, bytes / (1 << 20));
    else
        fputs("<td>&ndash;</td>", page->out);
}

static void time_cell(const struct page *page, const json_t *model)
{
    double seconds;
    char text[24];
    if (number_of(&seconds, model, "rank_seconds"))
        fprintf(page->out, "<td data-value=\"%.17g\">%s</td>", seconds,
                duration_format(seconds, text, sizeof text));
    else
        fputs("<td>&ndash;</td>", page->out);
}

void write_models(const struct page *page)
{
    static const char *const with[] = {"<variant",    "asked for",     "sparsity",      "perplexity",
                                       "times dense", "mean accuracy", "time of ranks", "memory"};
    static const char *const without[] = {"<variant",    "asked for",     "sparsity", "perplexity",
                                          "times dense", "time of ranks", "memory"};
    const json_t *models = json_object_get(page->report, "models");
    const struct measure *measure = measure_of(models);
    bool tasks = false;
    size_t i;
    json_t *model;

    json_array_foreach(models, i, model)
    {
        tasks = tasks || json_object_get(model, "accuracy") != NULL;
    }
    begin_table(page, tasks ? with : without,
                tasks ? sizeof with / sizeof *with : sizeof without / sizeof *without);
    json_array_foreach(models, i, model)
    {
        fprintf(page->out, "<tr%s>", level_is_best(models, model, measure) ? " class=\"best\"" : "");
        text_cell(page, text_of(model, "variant"));
        amount_cell(page, model);
        number_cell(page, json_object_get(model, "sparsity"), 4);
        measured_cell(page, json_object_get(model, "perplexity"), json_object_get(model, "perplexity_stderr"),
                      1, 3);
        measured_cell(page, json_object_get(model, "ratio"), json_object_get(model, "ratio_stderr"), 1, 3);
        if (tasks)
            measured_cell(page, json_object_get(model, "accuracy"), json_object_get(model, "accuracy_stderr"),
                          100, 2);
        time_cell(page, model);
        amount_of_memory(page, model);
        fputs("</tr>\n", page->out);
    }
    end_table(page);
    fprintf(
        page->out,
        "<p class=\"note\">Shaded: the best at each sparsity and pattern. After &plusmn;: standard errors; "
        "that of times dense compares window by window, so that it is smaller.%s Time: of all ranks that "
        "worked on it, in all; of dense also what all variants share. Memory: the largest resident size that "
        "a working process had reached.</p>\n",
        tasks ? " Accuracy in per cent." : "");
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

// The file of the first text of a job (pipeline/job/texts.h).
static const char *first_text(const json_t *texts)
{
    const json_t *first = texts_json_at(texts, 0), *data = json_object_get(first, "data");
    const char *file = json_string_value(data != NULL ? data : first);
    return file != NULL ? file : "";
}

void write_measured_on(const struct page *page)
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
    html_text(page->out, first_text(json_object_get(json_object_get(job, "evaluate"), "perplexity")));
    fputs("</code>.</p>\n", page->out);
}

// ---- settings -------------------------------------------------------------------------------------------

// Every value below `value` as a row. Variants have a table of their own.
static void write_facts(const struct page *page, json_t *value)
{
    static const char *const without[] = {"variants", "job.variants", NULL};
    json_t *facts = json_object(), *fact;
    const char *name;

    flat_add(facts, "", value, without);
    json_object_foreach(facts, name, fact)
    {
        if (json_is_null(fact))
            continue;
        fputs("<tr>", page->out);
        head_cell(page, name);
        fact_cell(page, fact);
        fputs("</tr>\n", page->out);
    }
    json_decref(facts);
}

void write_settings(const struct page *page)
{
    fputs("<div class=\"wide\"><table class=\"facts\"><tbody>", page->out);
    write_facts(page, json_object_get(json_object_get(page->report, "provenance"), "job"));
    fputs("</tbody></table></div>\n", page->out);
}

// ---- time -----------------------------------------------------------------------------------------------

// What the stages took, over all variants.
static void write_stages(const struct page *page)
{
    static const char *const names[] = {"<stage", "seconds", "share"};
    json_t *sums = json_object(), *model, *seconds;
    const char *stage;
    double all = 0;
    size_t i;

    json_array_foreach(json_object_get(page->report, "models"), i, model)
    {
        json_object_foreach(json_object_get(model, "seconds"), stage, seconds)
        {
            const double before = json_number_value(json_object_get(sums, stage));
            json_object_set_new(sums, stage, json_real(before + json_number_value(seconds)));
            all += json_number_value(seconds);
        }
    }
    if (all > 0) {
        begin_table(page, names, sizeof names / sizeof *names);
        json_object_foreach(sums, stage, seconds)
        {
            fputs("<tr>", page->out);
            text_cell(page, stage);
            fprintf(page->out, "<td data-value=\"%.17g\">%.1f</td>", json_number_value(seconds),
                    json_number_value(seconds));
            share_cell(page, json_number_value(seconds) / all);
            fputs("</tr>\n", page->out);
        }
        end_table(page);
        fputs("<p class=\"note\">Seconds that teams worked on the units of each stage.</p>\n", page->out);
    }
    json_decref(sums);
}

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

static void write_plots(const struct page *page, const char *const *ids, size_t count)
{
    fputs("<div class=\"plots\">\n", page->out);
    for (size_t i = 0; i < count; i++)
        write_plot(page, ids[i]);
    fputs("</div>\n", page->out);
}

// Perplexities, of which each text may have its own (plots.h), then accuracies.
static void write_result_plots(const struct page *page)
{
    static const char *const ids[] = {"perplexity", "accuracy"};
    size_t i;
    json_t *plot;

    fputs("<div class=\"plots\">\n", page->out);
    for (size_t k = 0; k < sizeof ids / sizeof *ids; k++)
        json_array_foreach(page->plots, i, plot)
        {
            if (strncmp(text_of(plot, "id"), ids[k], strlen(ids[k])) == 0)
                write_plot(page, text_of(plot, "id"));
        }
    fputs("</div>\n", page->out);
}

// The model and the run, as a heading and a sentence.
static void write_head(const json_t *report, FILE *out)
{
    const json_t *provenance = json_object_get(report, "provenance");
    const json_t *hub = json_object_get(provenance, "hub");
    const char *run = text_of(report, "run"), *base = strrchr(run, '/');
    char title[600];

    snprintf(title, sizeof title, "%.250s, pruned: run %.250s", text_of(report, "model"),
             base != NULL && base[1] != '\0' ? base + 1 : run);
    html_begin(out, title);
    fputs("<p class=\"lead\">Model <code>", out);
    html_text(out, hub != NULL ? text_of(hub, "id") : text_of(json_object_get(provenance, "job"), "model"));
    if (hub != NULL) {
        fputs("</code> of the Hub, commit <code>", out);
        html_text(out, text_of(hub, "commit"));
    }
    fputs("</code>, run <code>", out);
    html_text(out, run);
    fputs("</code>.</p>\n", out);
}

void report_write_html(const json_t *report, const json_t *plots, const char *no_plots, FILE *out)
{
    const struct page page = {report, plots, out};
    const json_t *models = json_object_get(report, "models");
    static const char *const depths[] = {"depth-sparsity", "depth-error", "depth-energy"};
    static const char *const alignments[] = {
        "adjacent",          "query-key",          "value-output",          "commutator",
        "adjacent-patterns", "query-key-patterns", "value-output-patterns", "commutator-patterns"};

    write_head(report, out);
    write_verdict(&page, models);
    write_measured_on(&page);
    write_missing(&page);
    if (no_plots != NULL)
        fprintf(out, "<p class=\"warning\">%s</p>\n", no_plots);
    fputs("<h2>Results</h2>\n", out);
    write_result_plots(&page);
    write_pivots(&page, models);
    fputs("<h3>All variants</h3>\n", out);
    write_models(&page);
    report_write_texts(&page);
    report_write_tasks(report, out);
    write_published(&page);
    fputs("<h2>Layers</h2>\n", out);
    write_plots(&page, depths, sizeof depths / sizeof *depths);
    write_layers(&page);
    if (has_rows(&page, "channels", "stream", DENSE_NAME)) {
        fprintf(out,
                "<h2>Channels</h2>\n<p>The inputs of the dense model's linears. Quantiles are over the "
                "channels' second moments; an outlier is a channel whose second moment is more than %g times "
                "the median one.</p>\n",
                REPORT_OUTLIER);
        write_channels(&page, DENSE_NAME);
    }
    if (json_object_size(json_object_get(report, "diagnostics")) > 0) {
        fputs("<h2>Alignment</h2>\n<p>Measured from the weights alone: means over all layers. Overlap is 1 "
              "where two subspaces are the same; by chance it is k / n, of k directions among n. All numbers "
              "are in report.json.</p>\n",
              out);
        write_plots(&page, alignments, sizeof alignments / sizeof *alignments);
    }
    fputs("<h2>Time and memory</h2>\n", out);
    write_plot(&page, "times");
    write_stages(&page);
    write_starts(&page);
    fputs("<h2>Settings</h2>\n", out);
    write_settings(&page);
    fputs("<details><summary>All that is on record: inputs, versions</summary>\n<div class=\"wide\"><table "
          "class=\"facts\"><tbody>",
          out);
    write_facts(&page, json_object_get(report, "provenance"));
    fputs("</tbody></table></div></details>\n<p class=\"screen\">The same numbers, beside this page: <a "
          "href=\"results.csv\">results.csv</a> (a row a variant), <a href=\"report.json\">report.json</a> "
          "(all).</p>\n",
          out);
    html_end(out);
}
