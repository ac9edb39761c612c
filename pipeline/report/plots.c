#include "pipeline/record/task_results.h"
#include "pipeline/report/layer_plots.h"
#include "pipeline/report/members.h"
#include "pipeline/report/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- a result against sparsity --------------------------------------------------------------------------

struct quantity {
    const char *id, *title, *note, *label;
    bool (*value)(double *value, const json_t *model);
};

static bool perplexity_of(double *value, const json_t *model)
{
    return number_of(value, model, "perplexity");
}

bool report_accuracy(double *value, const json_t *model)
{
    return tasks_mean(value, json_object_get(model, "tasks"));
}

static bool adjacent_of(double *value, const json_t *model)
{
    return number_of(value, json_object_get(model, "alignment"), "adjacent");
}

static bool query_key_of(double *value, const json_t *model)
{
    return number_of(value, json_object_get(model, "alignment"), "query_key");
}

static bool value_output_of(double *value, const json_t *model)
{
    return number_of(value, json_object_get(model, "alignment"), "value_output");
}

static bool commutator_of(double *value, const json_t *model)
{
    return number_of(value, json_object_get(model, "alignment"), "commutator");
}

static bool is_pattern(const json_t *model)
{
    return json_object_get(json_object_get(model, "choice"), "pattern") != NULL;
}

// Points of one series; false when there are none. x: the sparsity, or the pattern's index.
static size_t write_points(struct drawing *d, const struct quantity *quantity, const char *series,
                           const struct names *patterns)
{
    size_t i, points = 0;
    json_t *model;
    double value, target;

    json_array_foreach(json_object_get(d->report, "models"), i, model)
    {
        if (strcmp(text_of(model, "series"), series) != 0 || is_pattern(model) != (patterns != NULL) ||
            !quantity->value(&value, model) || !number_of(&target, model, "target"))
            continue;
        if (patterns != NULL)
            target = (double)name_index(patterns, text_of(json_object_get(model, "choice"), "pattern"));
        fprintf(d->out, "%.17g %.17g\n", target, value);
        points++;
    }
    return points;
}

static void write_dense(struct drawing *d, const struct quantity *quantity)
{
    double dense;
    char title[64], quoted[80];
    if (!quantity->value(&dense, json_array_get(json_object_get(d->report, "models"), 0)))
        return;
    snprintf(title, sizeof title, "dense: %.4g", dense);
    fprintf(d->out, "%.17g with lines linecolor rgb '#7c858f' dashtype 2 linewidth 1.5 title %s, ", dense,
            gnuplot_quote(quoted, sizeof quoted, title));
}

// Both axes; low and high: of the values. Values that span much get a logarithmic axis with tics at 1, 2, 5.
static void write_axes(struct drawing *d, const struct quantity *quantity, const struct names *patterns,
                       double low, double high)
{
    char quoted[80];
    fprintf(d->out, "set ylabel '%s'\n", quantity->label);
    if (patterns == NULL) {
        fprintf(d->out, "set xlabel 'sparsity'\nset offsets graph 0.03, graph 0.03, 0, 0\n");
    } else {
        fprintf(d->out, "set xlabel 'pattern: kept of neighbours'\nset xrange [-0.5:%zu.5]\nset xtics (",
                patterns->count - 1);
        for (size_t p = 0; p < patterns->count; p++)
            fprintf(d->out, "%s%s %zu", p > 0 ? ", " : "",
                    gnuplot_quote(quoted, sizeof quoted, patterns->items[p]), p);
        fprintf(d->out, ")\n");
    }
    if (!(low > 0) || high < 3 * low)
        return;
    fprintf(d->out, "set logscale y\nset yrange [%.17g:%.17g]\nset ytics (", low / 1.15, high * 1.15);
    bool any = false;
    for (double power = pow(10, floor(log10(low)) - 1); power <= high; power *= 10)
        for (int digit = 1; digit <= 5; digit += digit == 1 ? 1 : 3) {
            fprintf(d->out, "%s'%g' %g", any ? ", " : "", power * digit, power * digit);
            any = true;
        }
    fprintf(d->out, ")\n");
}

static void draw_result(struct drawing *d, const struct quantity *quantity, const struct names *series,
                        const struct names *patterns, double low, double high)
{
    char look[160], quoted[200], id[64];
    size_t used[MOST_LINES], lines = 0, line = 0;

    snprintf(id, sizeof id, "%s%s", quantity->id, patterns != NULL ? "-patterns" : "");
    if (!begin_plot(d, id, quantity->title, quantity->note))
        return;
    for (size_t s = 0; s < series->count; s++) {
        fprintf(d->out, "$series%zu << end_of_data\n", s);
        used[s] = write_points(d, quantity, series->items[s], patterns);
        lines += used[s] > 0;
        fprintf(d->out, "end_of_data\n");
    }
    write_axes(d, quantity, patterns, low, high);
    fprintf(d->out, "plot ");
    write_dense(d, quantity);
    for (size_t s = 0; s < series->count; s++) {
        if (used[s] == 0)
            continue;
        // Points of a pattern stand side by side.
        const double shift = patterns != NULL ? 0.7 * ((double)line + 0.5) / (double)lines - 0.35 : 0;
        line++;
        series_look(look, sizeof look, series, s);
        fprintf(d->out, "$series%zu using ($1%+.4f):2 %s with %s %s title %s, ", s, shift,
                patterns == NULL ? "smooth unique" : "", patterns == NULL ? "linespoints" : "points", look,
                gnuplot_quote(quoted, sizeof quoted, series->items[s]));
    }
    fprintf(d->out, "\n");
    end_plot(d);
}

static void draw_results(struct drawing *d, const struct quantity *quantity)
{
    struct names series = {.count = 0}, patterns = {.count = 0};
    size_t i, unstructured = 0;
    double low = INFINITY, high = 0, value;
    json_t *model;

    json_array_foreach(json_object_get(d->report, "models"), i, model)
    {
        if (!quantity->value(&value, model))
            continue;
        low = value < low ? value : low;
        high = value > high ? value : high;
        if (i == 0)
            continue;
        add_name(&series, text_of(model, "series"));
        if (is_pattern(model))
            add_name(&patterns, text_of(json_object_get(model, "choice"), "pattern"));
        else
            unstructured++;
    }
    if (unstructured > 0)
        draw_result(d, quantity, &series, NULL, low, high);
    if (patterns.count > 0)
        draw_result(d, quantity, &series, &patterns, low, high);
}

// ---- time -----------------------------------------------------------------------------------------------

static void draw_times(struct drawing *d)
{
    const json_t *times = json_object_get(d->report, "times");
    struct names stages = {.count = 0};
    const char *stage;
    json_t *row, *seconds;
    size_t i;
    char quoted[64];

    json_array_foreach(times, i, row)
    {
        json_object_foreach(json_object_get(row, "seconds"), stage, seconds)
        {
            add_name(&stages, stage);
        }
    }
    if (stages.count == 0 ||
        !begin_plot(
            d, "times", "Time of each rank",
            "Seconds that the units of each stage took, one bar a rank; all starts of the program side "
            "by side."))
        return;
    fprintf(d->out, "$times << end_of_data\n");
    json_array_foreach(times, i, row)
    {
        fprintf(d->out, "%lld", (long long)json_integer_value(json_object_get(row, "rank")));
        for (size_t s = 0; s < stages.count; s++)
            fprintf(d->out, " %.17g",
                    json_number_value(json_object_get(json_object_get(row, "seconds"), stages.items[s])));
        fprintf(d->out, "\n");
    }
    fprintf(d->out,
            "end_of_data\nset style data histograms\nset style histogram rowstacked\nset style fill solid "
            "noborder\nset boxwidth 0.7\nset yrange [0:*]\nset xlabel 'rank'\nset ylabel 'seconds'\nset key "
            "invert\nset grid noxtics\nplot ");
    for (size_t s = 0; s < stages.count; s++)
        fprintf(d->out, "$times using %zu%s linecolor rgb '%s' title %s, ", s + 2,
                s == 0 && json_array_size(times) <= 32 ? ":xticlabels(1)" : "", gnuplot_colour(s),
                gnuplot_quote(quoted, sizeof quoted, stages.items[s]));
    fprintf(d->out, "\n");
    end_plot(d);
}

// ---- the whole ------------------------------------------------------------------------------------------

enum status report_draw(json_t **plots, const char **no_plots, const json_t *report, struct error *err)
{
    static const struct quantity quantities[] = {
        {"perplexity", "Perplexity", "Lower is better.", "perplexity", perplexity_of},
        {"accuracy", "Accuracy", "Mean over the tasks; higher is better.", "mean accuracy", report_accuracy},
        {"adjacent", "Overlap of adjacent linears",
         "Mean overlap of a linear's leading output directions with the next one's leading input directions: "
         "singular subspaces of their weights.",
         "overlap", adjacent_of},
        {"query-key", "Overlap of query and key", "The same for the query and the key of each head.",
         "overlap", query_key_of},
        {"value-output", "Overlap of value and output",
         "The same for the value of each head and its part of the output.", "overlap", value_output_of},
        {"commutator", "Commutators", "Mean magnitude of the commutators of square linears of one size.",
         "magnitude", commutator_of}};
    struct drawing *d = NULL;
    bool found = true;
    enum status status;

    *plots = NULL;
    *no_plots = NULL;
    FORWARD_IF_ERROR(allocate(&d, 1, sizeof *d, "the plots", err));
    d->report = report;
    d->list = json_array();
    for (size_t q = 0; q < sizeof quantities / sizeof *quantities; q++)
        draw_results(d, &quantities[q]);
    draw_times(d);
    draw_layer_plots(d);
    status = gnuplot_draw(d->plots, d->count, &found, err);
    for (size_t i = 0; i < d->count; i++) {
        if (d->plots[i].svg != NULL)
            json_object_set_new(json_array_get(d->list, i), "svg", json_string(d->plots[i].svg));
        free(d->plots[i].svg);
        free(d->plots[i].script);
    }
    if (!found)
        *no_plots = "There are no plots: the program gnuplot is not installed here. Install it (Debian: "
                    "gnuplot-nox) and make the report again.";
    *plots = d->list;
    free(d);
    return status;
}
