#include "pipeline/report/plots/depth_plots.h"

#include "pipeline/report/data/depth.h"
#include "pipeline/report/data/levels.h"
#include "pipeline/report/data/members.h"

#include <math.h>
#include <stdlib.h>

// More lines than colours cannot be told apart.
enum { MOST_VARIANTS = 8 };

struct best {
    const char *names[MOST_VARIANTS];
    struct layer_mean *means[MOST_VARIANTS]; // [layers]
    size_t count, layers;
};

static double sparsity_of(const struct layer_mean *mean)
{
    return 100 * mean->sparsity;
}

static double error_of(const struct layer_mean *mean)
{
    return 100 * mean->error;
}

static double energy_of(const struct layer_mean *mean)
{
    return 100 * mean->energy;
}

struct depth {
    const char *id, *title, *note, *label;
    double (*value)(const struct layer_mean *mean);
};

// Whether there is anything to see: numbers, and where they may be flat, different ones.
static bool is_worth_it(const struct best *best, const struct depth *depth, bool flat)
{
    bool any = false, differ = false;

    for (size_t v = 0; v < best->count; v++)
        for (size_t l = 0; l < best->layers; l++) {
            const double value = depth->value(&best->means[v][l]);
            any = any || isfinite(value);
            differ = differ || fabs(value - depth->value(&best->means[v][0])) > 0.05;
        }
    return any && (flat || differ);
}

static void draw_depth(struct drawing *d, const struct best *best, const struct depth *depth)
{
    if (!begin_plot(d, depth->id, depth->title, depth->note))
        return;
    for (size_t v = 0; v < best->count; v++) {
        fprintf(d->out, "$variant%zu << end_of_data\n", v);
        for (size_t l = 0; l < best->layers; l++)
            if (isfinite(depth->value(&best->means[v][l])))
                fprintf(d->out, "%zu %.17g\n", l, depth->value(&best->means[v][l]));
        fprintf(d->out, "end_of_data\n");
    }
    fprintf(d->out, "set xlabel 'layer'\nset ylabel '%s'\nset xrange [-0.3:%zu.3]\n%s\n", depth->label,
            best->layers - 1, best->layers <= 24 ? "set xtics 1" : "");
    fprintf(d->out, "plot ");
    for (size_t v = 0; v < best->count; v++) {
        fprintf(d->out, "$variant%zu with linespoints", v);
        write_look(d, &(struct look){v, v, v}, best->names[v]);
    }
    end_looks(d);
    end_plot(d);
}

void draw_depths(struct drawing *d)
{
    static const struct depth sparsity = {
        "depth-sparsity", "Sparsity by layer",
        "Share of the weights of each layer's pruned linears that is zero, of the best variant of each "
        "sparsity.",
        "sparsity, per cent", sparsity_of};
    static const struct depth error = {"depth-error", "Error by layer",
                                       "Relative error of the outputs, mean over the layer's linears, of the "
                                       "best variant of each sparsity.",
                                       "output error, per cent", error_of};
    static const struct depth energy = {"depth-energy", "Energy by layer",
                                        "Share of the weights' centred energy that pruning and compensation "
                                        "leave, of the best variant of each sparsity.",
                                        "energy left, per cent", energy_of};
    const json_t *models = json_object_get(d->report, "models");
    const struct measure *measure = measure_of(models);
    const json_int_t layers = json_integer_value(json_object_get(d->report, "layers"));
    struct best best = {.layers = layers > 0 ? (size_t)layers : 0};
    struct levels levels;

    levels_find(&levels, models);
    for (size_t k = 0; k < levels.count && measure != NULL && best.layers > 0; k++) {
        const json_t *model = level_best(models, levels.labels[k], measure, NULL);
        if (model == NULL || best.count == MOST_VARIANTS)
            continue;
        struct layer_mean *means = calloc(best.layers, sizeof *means);
        if (means == NULL || !layer_means(means, best.layers, d->report, text_of(model, "variant"))) {
            free(means);
            continue;
        }
        best.names[best.count] = text_of(model, "variant");
        best.means[best.count++] = means;
    }
    if (is_worth_it(&best, &sparsity, false))
        draw_depth(d, &best, &sparsity);
    if (is_worth_it(&best, &error, true))
        draw_depth(d, &best, &error);
    else if (is_worth_it(&best, &energy, true))
        draw_depth(d, &best, &energy);
    for (size_t v = 0; v < best.count; v++)
        free(best.means[v]);
}
