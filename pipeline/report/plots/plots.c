#include "pipeline/report/plots/plots.h"

#include "io/file/json_memory.h"
#include "pipeline/report/data/levels.h"
#include "pipeline/report/data/members.h"
#include "pipeline/report/data/text_models.h"
#include "pipeline/report/plots/depth_plots.h"
#include "pipeline/report/plots/layer_plots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- a result against sparsity --------------------------------------------------------------------------

struct quantity {
    const char *id, *title, *note, *label;
    double scale; // of the numbers that are shown
    bool (*value)(double *value, const json_t *model);
    bool (*error)(double *error, const json_t *dense, const json_t *model); // NULL: no error bars
};

static bool perplexity_error(double *error, const json_t *dense, const json_t *model)
{
    return measure_perplexity.cost_error(error, dense, model);
}

static bool accuracy_error(double *error, const json_t *dense, const json_t *model)
{
    (void)dense;
    return measure_accuracy.error(error, model);
}

static bool perplexity_of(double *value, const json_t *model)
{
    return measure_perplexity.value(value, model);
}

static bool accuracy_of(double *value, const json_t *model)
{
    return measure_accuracy.value(value, model);
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

// Which variants a plot shows, and where on its horizontal axis: at their sparsity, or, with `categories`,
// each level at a place of its own.
struct axis {
    const struct levels *categories; // NULL: the sparsity
    bool shares;                     // with categories: also variants without a pattern
};

static bool place_of(double *x, const json_t *model, const struct axis *axis)
{
    char label[LEVEL_SIZE];

    if (axis->categories == NULL) {
        const bool known = !is_pattern(model) && number_of(x, model, "target");
        *x *= 100;
        return known;
    }
    if ((!axis->shares && !is_pattern(model)) || !level_of(label, model))
        return false;
    for (size_t k = 0; k < axis->categories->count; k++) {
        *x = (double)k;
        if (strcmp(axis->categories->labels[k], label) == 0)
            return true;
    }
    return false;
}

struct point {
    double x, y, error;
};

static int by_x(const void *a, const void *b)
{
    const struct point *p = a, *q = b;
    return p->x < q->x ? -1 : p->x > q->x;
}

// Points of one series, in their order: place, value, error. Returns their number.
static size_t write_points(struct drawing *d, const struct quantity *quantity, const char *series,
                           const struct axis *axis)
{
    enum { MOST = 256 };
    struct point points[MOST];
    size_t i, count = 0;
    json_t *model;
    const json_t *dense = NULL;

    json_array_foreach(json_object_get(d->report, "models"), i, model)
    {
        struct point *point = &points[count];
        if (json_object_get(model, "choice") == NULL)
            dense = model; // of the variants after it
        if (count == MOST || strcmp(text_of(model, "series"), series) != 0 ||
            !quantity->value(&point->y, model) || !place_of(&point->x, model, axis))
            continue;
        if (quantity->error == NULL || !quantity->error(&point->error, dense, model))
            point->error = 0;
        count++;
    }
    qsort(points, count, sizeof *points, by_x);
    for (i = 0; i < count; i++)
        fprintf(d->out, "%.17g %.17g %.17g\n", points[i].x, quantity->scale * points[i].y,
                quantity->scale * points[i].error);
    return count;
}

// A line for each dense model that was measured.
static void write_dense(struct drawing *d, const struct quantity *quantity)
{
    double dense;
    char title[160];
    size_t i, count = 0;
    json_t *model;

    json_array_foreach(json_object_get(d->report, "models"), i, model)
    {
        if (json_object_get(model, "choice") != NULL || !quantity->value(&dense, model))
            continue;
        snprintf(title, sizeof title, "%.120s: %.4g", text_of(model, "variant"), quantity->scale * dense);
        fprintf(d->out, "%.17g with lines", quantity->scale * dense);
        write_look(d, &(struct look){PALE, 1 + count++, NO_MARK}, title);
    }
}

struct span {
    double low, high; // of the values
};

// Both axes. Values that span much get a logarithmic axis with tics at 1, 2, 5.
static void write_axes(struct drawing *d, const struct quantity *quantity, const struct axis *axis,
                       const struct span *span)
{
    const struct levels *categories = axis->categories;
    const double low = quantity->scale * span->low, high = quantity->scale * span->high;
    char quoted[200];

    fprintf(d->out, "set ylabel '%s'\n", quantity->label);
    if (categories == NULL) {
        fprintf(d->out,
                "set xlabel 'sparsity, per cent'\nset offsets graph 0.03, graph 0.03, graph 0.03, graph "
                "0.03\n");
    } else {
        fprintf(d->out, "set xrange [-0.5:%zu.5]\nset offsets 0, 0, graph 0.04, graph 0.04\nset xtics (",
                categories->count - 1);
        // A tic's label is a format: % is written twice.
        for (size_t k = 0; k < categories->count; k++) {
            char label[2 * LEVEL_SIZE], *end = label;
            for (const char *c = categories->labels[k]; *c != '\0'; c++) {
                *end++ = *c;
                if (*c == '%')
                    *end++ = '%';
            }
            *end = '\0';
            fprintf(d->out, "%s%s %zu", k > 0 ? ", " : "", gnuplot_quote(quoted, sizeof quoted, label), k);
        }
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
                        const struct axis *axis, const struct span *span)
{
    char id[64];
    size_t used[MOST_LINES], lines = 0, line = 0;

    snprintf(id, sizeof id, "%s%s", quantity->id, axis->categories != NULL ? "-patterns" : "");
    if (!begin_plot(d, id, quantity->title, quantity->note))
        return;
    for (size_t s = 0; s < series->count; s++) {
        fprintf(d->out, "$series%zu << end_of_data\n", s);
        used[s] = write_points(d, quantity, series->items[s], axis);
        lines += used[s] > 0;
        fprintf(d->out, "end_of_data\n");
    }
    write_axes(d, quantity, axis, span);
    fprintf(d->out, "plot ");
    write_dense(d, quantity);
    for (size_t s = 0; s < series->count; s++) {
        if (used[s] == 0)
            continue;
        // Points of a category stand side by side.
        const double shift = axis->categories != NULL ? 0.7 * ((double)line + 0.5) / (double)lines - 0.35 : 0;
        line++;
        const struct look look = series_look(series, s);
        fprintf(d->out, "$series%zu using ($1%+.4f):2:3 with %s", s, shift,
                axis->categories == NULL ? "yerrorlines" : "yerrorbars");
        write_look(d, &look, series->items[s]);
    }
    end_looks(d);
    end_plot(d);
}

// Lines over the sparsity need two sparsities; else all levels are categories.
static void draw_results(struct drawing *d, const struct quantity *quantity)
{
    json_t *models = json_object_get(d->report, "models"), *measured = json_array(), *patterns = json_array();
    struct names series = {.count = 0};
    struct levels all, some;
    struct span span = {INFINITY, 0};
    double value, first = NAN;
    bool shares_differ = false;
    size_t i;
    json_t *model;

    json_array_foreach(models, i, model)
    {
        if (!quantity->value(&value, model))
            continue;
        span.low = value < span.low ? value : span.low;
        span.high = value > span.high ? value : span.high;
        if (json_object_get(model, "choice") == NULL)
            continue;
        add_name(&series, text_of(model, "series"));
        json_array_append(measured, model);
        if (is_pattern(model))
            json_array_append(patterns, model);
        else if (number_of(&value, model, "target")) {
            shares_differ = shares_differ || (isfinite(first) && value != first);
            first = value;
        }
    }
    levels_find(&all, measured);
    levels_find(&some, patterns);
    if (shares_differ)
        draw_result(d, quantity, &series, &(struct axis){NULL, true}, &span);
    const struct axis axis = {shares_differ ? &some : &all, !shares_differ};
    if (axis.categories->count > 0)
        draw_result(d, quantity, &series, &axis, &span);
    json_decref(measured);
    json_decref(patterns);
}

// A perplexity has a plot for each text, in the order of the job: "perplexity", "perplexity-2", ...
static void draw_perplexities(struct drawing *d, const struct quantity *perplexity)
{
    const json_t *report = d->report;
    json_t *names = measured_names(json_object_get(report, "models"), "texts"), *unused;
    const char *name;
    size_t number = 0;

    if (json_object_size(names) <= 1)
        draw_results(d, perplexity);
    else
        json_object_foreach(names, name, unused)
        {
            char id[32] = "perplexity", title[160];
            if (++number > 1)
                snprintf(id, sizeof id, "perplexity-%zu", number);
            snprintf(title, sizeof title, "Perplexity on %.120s", name);
            struct quantity one = *perplexity;
            one.id = id;
            one.title = title;
            json_t *view = json_pack("{s:o}", "models", text_models(json_object_get(report, "models"), name));
            d->report = view;
            draw_results(d, &one);
            d->report = report;
            json_decref(view);
        }
    json_decref(names);
}

// ---- time -----------------------------------------------------------------------------------------------

static void draw_times(struct drawing *d)
{
    const json_t *times = json_object_get(d->report, "times");
    struct names stages = {.count = 0};
    const char *stage;
    json_t *row, *seconds;
    size_t i;

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
            "noborder\nset boxwidth 0.7\nset yrange [0:*]\nset xlabel 'rank'\nset ylabel 'seconds'\nset grid "
            "noxtics\nplot ");
    for (size_t s = 0; s < stages.count; s++) {
        fprintf(d->out, "$times using %zu%s", s + 2,
                s == 0 && json_array_size(times) <= 32 ? ":xticlabels(1)" : "");
        write_look(d, &(struct look){s, 0, ONLY_FILL}, stages.items[s]);
    }
    end_looks(d);
    end_plot(d);
}

// ---- the whole ------------------------------------------------------------------------------------------

enum status report_draw(json_t **plots, const char **no_plots, const json_t *report, struct error *err)
{
    static const struct quantity perplexity = {
        "perplexity",
        "Perplexity",
        "Lower is better. Bars: standard error of the difference from the dense model.",
        "perplexity",
        1,
        perplexity_of,
        perplexity_error};
    static const struct quantity quantities[] = {
        {"accuracy", "Accuracy", "Mean over the tasks; higher is better. Bars: standard error.",
         "mean accuracy, per cent", 100, accuracy_of, accuracy_error},
        {"adjacent", "Overlap of adjacent linears",
         "Mean overlap of a linear's leading output directions with the next one's leading input directions: "
         "singular subspaces of their weights.",
         "overlap", 1, adjacent_of, NULL},
        {"query-key", "Overlap of query and key", "The same for the query and the key of each head.",
         "overlap", 1, query_key_of, NULL},
        {"value-output", "Overlap of value and output",
         "The same for the value of each head and its part of the output.", "overlap", 1, value_output_of,
         NULL},
        {"commutator", "Commutators", "Mean magnitude of the commutators of square linears of one size.",
         "magnitude", 1, commutator_of, NULL}};
    struct drawing *d = NULL;
    bool found = true;
    enum status status;

    *plots = NULL;
    *no_plots = NULL;
    FORWARD_IF_ERROR(allocate(&d, 1, sizeof *d, "the plots", err));
    d->report = report;
    d->list = json_array();
    draw_perplexities(d, &perplexity);
    for (size_t q = 0; q < sizeof quantities / sizeof *quantities; q++)
        draw_results(d, &quantities[q]);
    draw_times(d);
    draw_depths(d);
    draw_layer_plots(d);
    status = d->has_failed ? error_set(err, STATUS_MEMORY, "out of memory for the plots")
                           : gnuplot_draw(d->plots, d->count, &found, err);
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
    return status != STATUS_OK ? status : json_memory_check("the plots", err);
}
