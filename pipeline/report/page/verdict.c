#include "pipeline/report/page/verdict.h"

#include "pipeline/report/data/levels.h"
#include "pipeline/report/data/members.h"
#include "pipeline/report/data/text_models.h"

#include <math.h>
#include <string.h>

static size_t count_at(const json_t *models, const char *label, const struct measure *measure)
{
    char its[LEVEL_SIZE];
    size_t count = 0, i;
    double value;
    json_t *model;

    json_array_foreach(models, i, model)
    {
        count += level_of(its, model) && strcmp(its, label) == 0 && measure->value(&value, model);
    }
    return count;
}

static void write_name(const struct page *page, const json_t *model)
{
    fputs("<b>", page->out);
    html_text(page->out, text_of(model, "variant"));
    fputs("</b>", page->out);
}

static void write_cost(const struct page *page, const json_t *dense, const json_t *model)
{
    double value, reference, ratio, error;

    if (!measure_perplexity.value(&value, model))
        return;
    fputs(": perplexity ", page->out);
    write_perplexity(page, value);
    if (!measure_perplexity.value(&reference, dense) || !number_of(&ratio, model, "ratio")) {
        fputs(" (the dense model's is not known)", page->out);
        return;
    }
    fprintf(page->out, ", %.3f", ratio);
    if (number_of(&error, model, "ratio_stderr"))
        fprintf(page->out, " &plusmn; %.3f", error);
    fputs(" times the dense model&rsquo;s ", page->out);
    write_perplexity(page, reference);
}

// after: the sentence has said something before.
static void write_accuracy(const struct page *page, const json_t *dense, const json_t *model, bool after)
{
    double value, reference, error;

    if (!measure_accuracy.value(&value, model))
        return;
    fprintf(page->out, "%s accuracy %.1f %%", after ? "; mean" : ": mean", 100 * value);
    if (!measure_accuracy.value(&reference, dense)) {
        fputs(" (the dense model's is not known)", page->out);
        return;
    }
    fprintf(page->out, ", %.1f", 100 * fabs(reference - value));
    if (measure_accuracy.cost_error(&error, dense, model))
        fprintf(page->out, " &plusmn; %.1f", 100 * error);
    fprintf(page->out, " points %s the dense model&rsquo;s %.1f %%", value > reference ? "above" : "below",
            100 * reference);
}

// Who else a reader may want to look at.
static void write_rivals(const struct page *page, const json_t *models, const char *label,
                         const struct measure *measure, const json_t *best)
{
    const json_t *next = level_best(models, label, measure, best);
    double mine, value;

    if (next != NULL && measure->value(&value, next)) {
        fputs(". Next: ", page->out);
        html_text(page->out, text_of(next, "variant"));
        fputs(", ", page->out);
        write_measure(page, measure, value);
    }
    const json_t *accurate = level_best(models, label, &measure_accuracy, NULL);
    if (measure != &measure_accuracy && accurate != NULL && accurate != best &&
        measure_accuracy.value(&value, accurate) && (!measure_accuracy.value(&mine, best) || value > mine)) {
        fputs(". Most accurate: ", page->out);
        html_text(page->out, text_of(accurate, "variant"));
        fprintf(page->out, ", %.1f %%", 100 * value);
    }
}

static void write_sentence(const struct page *page, const json_t *models, const char *label,
                           const struct measure *measure)
{
    const json_t *best = level_best(models, label, measure, NULL);
    const size_t count = count_at(models, label, measure);

    fputs("<p>At ", page->out);
    html_text(page->out, label);
    fputs(count > 1 ? " the best is " : ", ", page->out);
    write_name(page, best);
    if (count > 2)
        fprintf(page->out, " of %zu", count);
    write_cost(page, json_array_get(models, 0), best);
    write_accuracy(page, json_array_get(models, 0), best,
                   json_is_number(json_object_get(best, "perplexity")));
    write_rivals(page, models, label, measure, best);
    fputs(".</p>\n", page->out);
}

// From the first level to the last one, in one sentence.
static void write_span(const struct page *page, const json_t *models, const struct levels *levels,
                       const struct measure *measure)
{
    const json_t *dense = json_array_get(models, 0),
                 *first = level_best(models, levels->labels[0], measure, NULL),
                 *last = level_best(models, levels->labels[levels->count - 1], measure, NULL);
    double from, to, reference;

    fputs("<p>The best variants, from ", page->out);
    write_name(page, first);
    fputs(" to ", page->out);
    write_name(page, last);
    if (number_of(&from, first, "ratio") && number_of(&to, last, "ratio") &&
        measure_perplexity.value(&reference, dense)) {
        fprintf(page->out, ", have %.3f to %.3f times the dense model&rsquo;s perplexity of ", from, to);
        write_perplexity(page, reference);
    }
    if (measure_accuracy.value(&from, first) && measure_accuracy.value(&to, last) &&
        measure_accuracy.value(&reference, dense))
        fprintf(page->out, "%s mean accuracy %.1f %% to %.1f %%, where the dense model has %.1f %%",
                measure->lower_is_better ? ", and" : ", have", 100 * from, 100 * to, 100 * reference);
    fputs(".</p>\n", page->out);
}

// The distance of the accuracy from the dense model's, in points.
static void points_cell(const struct page *page, const json_t *dense, const json_t *model)
{
    double value, reference, error;

    if (!measure_accuracy.value(&value, model) || !measure_accuracy.value(&reference, dense)) {
        fputs("<td>&ndash;</td>", page->out);
        return;
    }
    fprintf(page->out, "<td data-value=\"%.17g\">%+.1f", value - reference, 100 * (value - reference));
    if (measure_accuracy.cost_error(&error, dense, model))
        fprintf(page->out, " <small>&plusmn; %.1f</small>", 100 * error);
    fputs("</td>", page->out);
}

static void write_rows(const struct page *page, const json_t *models, const struct levels *levels,
                       const struct measure *measure)
{
    static const char *const names[] = {"at",    "<best", "perplexity", "times dense", "mean accuracy, %",
                                        "points"};
    const json_t *dense = json_array_get(models, 0);
    const bool tasks = json_is_number(json_object_get(dense, "accuracy"));

    begin_table(page, names, tasks ? 6 : 4);
    for (size_t k = 0; k < levels->count; k++) {
        const json_t *best = level_best(models, levels->labels[k], measure, NULL);
        fprintf(page->out, "<tr><td data-value=\"%zu\">", k);
        html_text(page->out, levels->labels[k]);
        fputs("</td>", page->out);
        text_cell(page, text_of(best, "variant"));
        measured_cell(page, json_object_get(best, "perplexity"), NULL, 1, 2);
        measured_cell(page, json_object_get(best, "ratio"), json_object_get(best, "ratio_stderr"), 1, 3);
        if (tasks) {
            measured_cell(page, json_object_get(best, "accuracy"), NULL, 100, 1);
            points_cell(page, dense, best);
        }
        fputs("</tr>\n", page->out);
    }
    end_table(page);
}

// Of several texts the first one decides.
static void write_which_text(const struct page *page, const json_t *models)
{
    json_t *names = measured_names(models, "texts");

    if (json_object_size(names) > 1) {
        fputs("<p class=\"note\">Perplexity here is that on ", page->out);
        html_text(page->out, json_object_iter_key(json_object_iter(names)));
        fprintf(page->out, ", the first of %zu texts.</p>\n", json_object_size(names));
    }
    json_decref(names);
}

void write_verdict(const struct page *page, const json_t *models)
{
    enum { MOST_SENTENCES = 3 };
    const struct measure *measure = measure_of(models);
    struct levels levels;
    json_t *measured = json_array(), *model;
    double value;
    size_t i;

    json_array_foreach(models, i, model)
    {
        if (measure != NULL && measure->value(&value, model))
            json_array_append(measured, model);
    }
    levels_find(&levels, measured);
    fputs("<div class=\"verdict\">\n", page->out);
    if (levels.count == 0)
        fputs("<p>Nothing has been measured of a pruned model yet.</p>\n", page->out);
    if (levels.count > MOST_SENTENCES) {
        write_span(page, models, &levels, measure);
        write_rows(page, models, &levels, measure);
    }
    for (size_t k = 0; k < levels.count && levels.count <= MOST_SENTENCES; k++)
        write_sentence(page, models, levels.labels[k], measure);
    write_which_text(page, models);
    fputs("</div>\n", page->out);
    json_decref(measured);
}
