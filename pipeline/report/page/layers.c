#include "pipeline/report/page/layers.h"

#include "io/file/run_paths.h"
#include "pipeline/report/data/depth.h"
#include "pipeline/report/data/levels.h"
#include "pipeline/report/data/members.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- linears --------------------------------------------------------------------------------------------

static void energy_cell(const struct page *page, const json_t *row, const char *key)
{
    double before, energy;
    const bool known = number_of(&before, row, "energy_before") && number_of(&energy, row, key) && before > 0;
    share_cell(page, known ? energy / before : NAN);
}

static void error_cell(const struct page *page, const json_t *row, const char *key)
{
    double error;
    share_cell(page, number_of(&error, row, key) ? error : NAN);
}

// The parts of the compensation that the guard kept.
static void kept_cell(const struct page *page, const json_t *row)
{
    static const struct {
        const char *key, *text;
    } parts[] = {{"energy_kept", "energy"}, {"solution_kept", "least squares"}, {"output_kept", "output"}};
    char text[48] = "";
    bool any = false;

    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const json_t *kept = json_object_get(row, parts[i].key);
        const size_t length = strlen(text);
        any = any || kept != NULL;
        if (json_is_true(kept))
            snprintf(text + length, sizeof text - length, "%s%s", length > 0 ? ", " : "", parts[i].text);
    }
    text_cell(page, text[0] != '\0' || !any ? text : "nothing");
}

// The candidate that auto chose.
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

// ---- tables ---------------------------------------------------------------------------------------------

// A row of a linear, with the cells that say which one it is.
static void begin_row(const struct page *page, const json_t *row)
{
    fputs("<tr>", page->out);
    number_cell(page, json_object_get(row, "layer"), 6);
    text_cell(page, text_of(row, "linear"));
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

    begin_table(page, names, sizeof names / sizeof *names);
    json_array_foreach(json_object_get(page->report, "linears"), i, row)
    {
        if (strcmp(text_of(row, "variant"), variant) != 0)
            continue;
        begin_row(page, row);
        number_cell(page, json_object_get(row, "weights"), 6);
        number_cell(page, json_object_get(row, "sparsity"), 4);
        number_cell(page, json_object_get(row, "energy_before"), 5);
        energy_cell(page, row, "energy_pruned");
        energy_cell(page, row, "energy_compensated");
        error_cell(page, row, "output_error_pruned");
        error_cell(page, row, "output_error_compensated");
        kept_cell(page, row);
        choice_cell(page, row);
        fputs("</tr>\n", page->out);
    }
    end_table(page);
}

void write_channels(const struct page *page, const char *stream)
{
    static const char *const names[] = {"layer",      "<linear", "channels", "outliers", "largest magnitude",
                                        "in channel", "5 %",     "median",   "95 %",     "99 %",
                                        "largest"};
    static const char *const points[] = {"p05", "median", "p95", "p99", "max"};
    char id[200];
    size_t i;
    json_t *row;

    snprintf(id, sizeof id, "channels-%s", stream);
    write_plot(page, id);
    fputs("<details><summary>All linears</summary>", page->out);
    begin_table(page, names, sizeof names / sizeof *names);
    json_array_foreach(json_object_get(page->report, "channels"), i, row)
    {
        if (strcmp(text_of(row, "stream"), stream) != 0)
            continue;
        begin_row(page, row);
        number_cell(page, json_object_get(row, "channels"), 6);
        number_cell(page, json_object_get(row, "outliers"), 6);
        number_cell(page, json_object_get(row, "max_abs"), 4);
        number_cell(page, json_object_get(row, "max_abs_channel"), 6);
        for (size_t p = 0; p < sizeof points / sizeof *points; p++)
            number_cell(page, json_object_get(json_object_get(row, "second_moment"), points[p]), 3);
        fputs("</tr>\n", page->out);
    }
    fputs("</tbody></table></div></details>\n", page->out);
}

bool has_rows(const struct page *page, const char *table, const char *key, const char *name)
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

// What pruning each linear alone costs at each level, and the sparsity that it got.
static void write_measured(const struct page *page, const json_t *allocation)
{
    enum { MOST_COLUMNS = 16 };
    const json_t *levels = json_object_get(json_array_get(allocation, 0), "curve");
    char text[MOST_COLUMNS][16];
    const char *names[MOST_COLUMNS + 3] = {"layer", "<linear"};
    size_t columns = 2, i, k;
    json_t *row, *pair;

    for (k = 0; k < json_array_size(levels) && k < MOST_COLUMNS; k++) {
        snprintf(text[k], sizeof text[k], "%g",
                 json_number_value(json_array_get(json_array_get(levels, k), 0)));
        names[columns++] = text[k];
    }
    names[columns++] = "sparsity asked for";
    fputs("<p>KL divergence of the next tokens from the dense model's, in nats, when this linear alone is "
          "pruned "
          "to a sparsity, and the sparsity that was chosen. With a * a name stands for all experts.</p>\n",
          page->out);
    begin_table(page, names, columns);
    json_array_foreach(allocation, i, row)
    {
        fputs("<tr>", page->out);
        number_cell(page, json_object_get(row, "layer"), 6);
        text_cell(page, text_of(row, "linear"));
        json_array_foreach(json_object_get(row, "curve"), k, pair)
        {
            number_cell(page, json_array_get(pair, 1), 3);
        }
        number_cell(page, json_object_get(row, "sparsity"), 4);
        fputs("</tr>\n", page->out);
    }
    end_table(page);
}

// The sparsity that its allocation gave to each layer, and why.
static void write_allocation(const struct page *page, const json_t *allocation)
{
    const bool medians = json_object_get(json_array_get(allocation, 0), "median_score") != NULL;
    const char *const names[] = {"layer", medians ? "median of its scores" : "outliers among its scores",
                                 "sparsity asked for"};
    size_t i;
    json_t *row;

    if (json_array_size(allocation) == 0)
        return;
    if (json_object_get(json_array_get(allocation, 0), "curve") != NULL) {
        write_measured(page, allocation);
        return;
    }
    begin_table(page, names, sizeof names / sizeof *names);
    json_array_foreach(allocation, i, row)
    {
        fputs("<tr>", page->out);
        number_cell(page, json_object_get(row, "layer"), 6);
        number_cell(page, json_object_get(row, medians ? "median_score" : "outlier_ratio"), 4);
        number_cell(page, json_object_get(row, "sparsity"), 5);
        fputs("</tr>\n", page->out);
    }
    end_table(page);
}

// The attempts of the search for the sparsest model within a budget.
static void write_budget(const struct page *page, const json_t *budget)
{
    static const char *const names[] = {"attempt", "sparsity", "perplexity on held-out text", "times dense"};
    size_t i;
    json_t *row;

    if (budget == NULL)
        return;
    fputs("<p>The sparsest model whose perplexity on held-out text of the calibration's corpus is at most ",
          page->out);
    write_number(page, json_object_get(budget, "bound"), 6);
    fputs(" times the dense model's, ", page->out);
    write_number(page, json_object_get(budget, "dense_perplexity"), 6);
    fputs(". Chosen: attempt ", page->out);
    write_number(page, json_object_get(budget, "attempt"), 6);
    fputs(".</p>\n", page->out);
    begin_table(page, names, sizeof names / sizeof *names);
    json_array_foreach(json_object_get(budget, "attempts"), i, row)
    {
        fprintf(page->out, "<tr><td>%zu</td>", i + 1);
        number_cell(page, json_object_get(row, "sparsity"), 4);
        number_cell(page, json_object_get(row, "perplexity"), 6);
        number_cell(page, json_object_get(row, "ratio"), 5);
        fputs("</tr>\n", page->out);
    }
    end_table(page);
}

// ---- the variants ---------------------------------------------------------------------------------------

// Lines of tables beyond which a page shows the linears of the best variants only: a browser takes long.
enum { MOST_LINEARS = 2000 };

static void write_variant(const struct page *page, const json_t *model)
{
    const char *variant = text_of(model, "variant");
    char id[200];

    fputs("<details><summary>", page->out);
    html_text(page->out, variant);
    fputs("</summary>\n", page->out);
    snprintf(id, sizeof id, "energy-%s", variant);
    write_plot(page, id);
    write_budget(page, json_object_get(model, "budget"));
    write_allocation(page, json_object_get(model, "allocation"));
    write_linears(page, variant);
    if (strcmp(variant, DENSE_NAME) != 0 && has_rows(page, "channels", "stream", variant)) {
        fputs("<h3>Inputs of the linears</h3>\n", page->out);
        write_channels(page, variant);
    }
    fputs("</details>\n", page->out);
}

// A row for each layer; sparsity, error and energy of the best variant of each level.
static void write_depth(const struct page *page, const struct measure *measure)
{
    static const char *const names[] = {"layer", "sparsity", "output error", "energy left"};
    const json_t *models = json_object_get(page->report, "models");
    const json_int_t layers = json_integer_value(json_object_get(page->report, "layers"));
    struct layer_mean *means = calloc(layers > 0 ? (size_t)layers : 1, sizeof *means);
    struct levels levels;

    levels_find(&levels, models);
    for (size_t k = 0; k < levels.count && means != NULL && layers > 0; k++) {
        const json_t *model = level_best(models, levels.labels[k], measure, NULL);
        if (model == NULL || !layer_means(means, (size_t)layers, page->report, text_of(model, "variant")))
            continue;
        fputs("<details class=\"print\"><summary>Layers of ", page->out);
        html_text(page->out, text_of(model, "variant"));
        fputs("</summary>\n", page->out);
        begin_table(page, names, sizeof names / sizeof *names);
        for (json_int_t layer = 0; layer < layers; layer++) {
            fprintf(page->out, "<tr><td>%" JSON_INTEGER_FORMAT "</td>", layer);
            share_cell(page, means[layer].sparsity);
            share_cell(page, means[layer].error);
            share_cell(page, means[layer].energy);
            fputs("</tr>\n", page->out);
        }
        end_table(page);
        fputs("</details>\n", page->out);
    }
    free(means);
}

void write_layers(const struct page *page)
{
    const json_t *models = json_object_get(page->report, "models");
    const struct measure *measure = measure_of(models);
    const bool all = json_array_size(json_object_get(page->report, "linears")) <= MOST_LINEARS;
    size_t i;
    json_t *model;

    if (measure != NULL)
        write_depth(page, measure);
    fputs(
        "<h3>Linears</h3>\n<p class=\"note\">Sparsity of every linear, the centred energy of its rows before "
        "pruning, after it, and after compensation, as measured when the weights were written, and the "
        "relative error of its outputs.",
        page->out);
    if (!all)
        fputs(" Of the best variant of each sparsity; report.json has all of them.", page->out);
    fputs("</p>\n", page->out);
    json_array_foreach(models, i, model)
    {
        if ((all || level_is_best(models, model, measure)) &&
            has_rows(page, "linears", "variant", text_of(model, "variant")))
            write_variant(page, model);
    }
}
