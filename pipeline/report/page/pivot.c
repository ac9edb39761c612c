#include "pipeline/report/page/pivot.h"

#include "pipeline/report/data/members.h"
#include "pipeline/report/data/text_models.h"

#include <math.h>
#include <string.h>

static const json_t *find(const json_t *models, const char *series, const char *label)
{
    char its[LEVEL_SIZE];
    size_t i;
    json_t *model;

    json_array_foreach(models, i, model)
    {
        if (strcmp(text_of(model, "series"), series) == 0 && level_of(its, model) && strcmp(its, label) == 0)
            return model;
    }
    return NULL;
}

// Perplexity: how far it is from the dense model's (or the lowest), of the farthest, both as logarithms.
// Accuracy: itself. In per cent.
struct bars {
    const struct measure *measure;
    double low, high;
};

static struct bars bars_of(const json_t *models, const struct measure *measure)
{
    struct bars bars = {measure, INFINITY, 0};
    double value;
    size_t i;
    json_t *model;

    json_array_foreach(models, i, model)
    {
        if (!measure->value(&value, model))
            continue;
        bars.low = value < bars.low ? value : bars.low;
        bars.high = value > bars.high ? value : bars.high;
    }
    return bars;
}

static double bar_of(const struct bars *bars, double value)
{
    if (!bars->measure->lower_is_better)
        return 100 * value;
    return bars->low > 0 && bars->high > bars->low
               ? 100 * log(value / bars->low) / log(bars->high / bars->low)
               : 0;
}

static void value_cell(const struct page *page, const struct bars *bars, const json_t *models,
                       const json_t *model)
{
    double value;

    if (model == NULL || !bars->measure->value(&value, model)) {
        fputs("<td>&ndash;</td>", page->out);
        return;
    }
    const bool best = level_is_best(models, model, bars->measure);
    fprintf(page->out, "<td class=\"bar\" style=\"--share:%.0f%%\" data-value=\"%.17g\">%s",
            bar_of(bars, value), value, best ? "<b>" : "");
    write_measure(page, bars->measure, value);
    fprintf(page->out, "%s</td>", best ? "</b>" : "");
}

static void write_heading(const struct page *page, const struct measure *measure, const char *text)
{
    fprintf(page->out, "<h3>%s", measure->lower_is_better ? "Perplexity" : "Mean accuracy");
    if (text != NULL) {
        fputs(" on ", page->out);
        html_text(page->out, text);
    }
    fputs(" by method and sparsity</h3>\n", page->out);
}

void write_pivot(const struct page *page, const json_t *models, const struct measure *measure,
                 const char *text)
{
    const struct bars bars = bars_of(models, measure);
    const char *names[MOST_LEVELS + 1] = {"<method and compensation"};
    json_t *done = json_object(), *model;
    struct levels levels;
    double dense;
    size_t i, k;

    levels_find(&levels, models);
    for (k = 0; k < levels.count; k++)
        names[k + 1] = levels.labels[k];
    if (isfinite(bars.low) && levels.count > 0) {
        write_heading(page, measure, text);
        begin_table(page, names, levels.count + 1);
        json_array_foreach(models, i, model)
        {
            const char *series = text_of(model, "series");
            if (json_object_get(model, "choice") == NULL || json_object_get(done, series) != NULL)
                continue;
            json_object_set_new(done, series, json_true());
            fputs("<tr>", page->out);
            head_cell(page, series);
            for (k = 0; k < levels.count; k++)
                value_cell(page, &bars, models, find(models, series, levels.labels[k]));
            fputs("</tr>\n", page->out);
        }
        end_table(page);
        fputs("<p class=\"note\">", page->out);
        if (measure->value(&dense, json_array_get(models, 0))) {
            fputs("Dense: ", page->out);
            write_measure(page, measure, dense);
            fputs(". ", page->out);
        }
        fprintf(page->out, "Bold: the best of a column. %s A click on a column&rsquo;s head sorts.</p>\n",
                measure->lower_is_better ? "Bars: how much worse, on a logarithmic scale; shorter is better."
                                         : "Bars: the share itself; longer is better.");
    }
    json_decref(done);
}

void write_pivots(const struct page *page, const json_t *models)
{
    json_t *names = measured_names(models, "texts"), *unused;
    const char *name;

    if (json_object_size(names) <= 1)
        write_pivot(page, models, &measure_perplexity, NULL);
    else
        json_object_foreach(names, name, unused)
        {
            json_t *view = text_models(models, name);
            write_pivot(page, view, &measure_perplexity, name);
            json_decref(view);
        }
    json_decref(names);
    write_pivot(page, models, &measure_accuracy, NULL);
}
