#include "pipeline/report/plots/layer_plots.h"

#include "pipeline/report/data/members.h"

#include <math.h>
#include <string.h>

// Lines over the layers, one a linear: column 2 dashed, column 3 solid, of the rows of `table` whose `key` is
// `name`.
struct layer_plot {
    const char *table, *key, *name;
    bool (*values)(double *dashed, double *solid, const json_t *row);
    const char *label, *commands;
    bool distinct; // linears with the same numbers share a line
};

static bool energies(double *pruned, double *compensated, const json_t *row)
{
    double before;
    if (!number_of(&before, row, "energy_before") || !number_of(pruned, row, "energy_pruned") ||
        !number_of(compensated, row, "energy_compensated") || !(before > 0))
        return false;
    *pruned /= before;
    *compensated /= before;
    return true;
}

static bool channels(double *usual, double *largest, const json_t *row)
{
    double median;
    if (!number_of(&median, json_object_get(row, "second_moment"), "median") ||
        !number_of(largest, row, "max_abs"))
        return false;
    *usual = sqrt(median);
    return *usual > 0 && *largest > 0;
}

// The linears to draw; those with the input of an earlier one are left out where only that counts.
static void choose_linears(struct names *linears, const struct drawing *d, const struct layer_plot *what)
{
    double first_layer = -1, layer, seen[MOST_LINES][2], now[2];
    size_t num_seen = 0, i, k;
    json_t *row;

    json_array_foreach(json_object_get(d->report, what->table), i, row)
    {
        if (strcmp(text_of(row, what->key), what->name) != 0 || !number_of(&layer, row, "layer") ||
            !what->values(&now[0], &now[1], row))
            continue;
        if (first_layer < 0)
            first_layer = layer;
        if (what->distinct && (layer > first_layer || num_seen == MOST_LINES))
            continue;
        for (k = 0; k < num_seen && memcmp(seen[k], now, sizeof now) != 0; k++)
            continue;
        if (what->distinct && k < num_seen)
            continue;
        if (num_seen < MOST_LINES)
            memcpy(seen[num_seen++], now, sizeof now);
        add_name(linears, text_of(row, "linear"));
    }
}

static bool draw_layers(struct drawing *d, const struct layer_plot *what, const char *id, const char *title,
                        const char *note)
{
    const json_int_t layers = json_integer_value(json_object_get(d->report, "layers"));
    struct names linears = {.count = 0};
    double dashed, solid;
    size_t i;
    json_t *row;

    choose_linears(&linears, d, what);
    if (linears.count == 0 || !begin_plot(d, id, title, note))
        return false;
    d->plots[d->count - 1].height = 340;
    for (size_t n = 0; n < linears.count; n++) {
        fprintf(d->out, "$linear%zu << end_of_data\n", n);
        json_array_foreach(json_object_get(d->report, what->table), i, row)
        {
            if (strcmp(text_of(row, what->key), what->name) == 0 &&
                strcmp(text_of(row, "linear"), linears.items[n]) == 0 && what->values(&dashed, &solid, row))
                fprintf(d->out, "%lld %.17g %.17g\n",
                        (long long)json_integer_value(json_object_get(row, "layer")), dashed, solid);
        }
        fprintf(d->out, "end_of_data\n");
    }
    fprintf(d->out,
            "set xlabel 'layer'\nset ylabel '%s'\nset xrange [-0.3:%lld.7]\n"
            "%s\n%s\nplot ",
            what->label, (long long)layers - 1, layers <= 24 ? "set xtics 1" : "", what->commands);
    for (size_t n = 0; n < linears.count; n++) {
        fprintf(d->out,
                "$linear%zu using 1:2 with lines linecolor rgb '%s' linewidth 1.4 dashtype (8,5) notitle, ",
                n, gnuplot_colour(n));
        fprintf(d->out, "$linear%zu using 1:3 with linespoints", n);
        write_look(d, &(struct look){n, 0, 0}, linears.items[n]);
    }
    end_looks(d);
    end_plot(d);
    return true;
}

void draw_layer_plots(struct drawing *d)
{
    struct names streams = {.count = 0};
    char id[200];
    size_t i;
    json_t *row;

    json_array_foreach(json_object_get(d->report, "channels"), i, row)
    {
        add_name(&streams, text_of(row, "stream"));
    }
    for (size_t s = 0; s < streams.count; s++) {
        const struct layer_plot what = {
            "channels", "stream", streams.items[s], channels, "input of the linear", "set logscale y", true};
        snprintf(id, sizeof id, "channels-%s", streams.items[s]);
        draw_layers(
            d, &what, id, "Inputs of the linears",
            "Solid: largest magnitude of any channel. Dashed: root mean square of the median channel. "
            "Linears that share their input share a line.");
    }
    json_array_foreach(json_object_get(d->report, "models"), i, row)
    {
        const struct layer_plot what = {
            "linears", "variant", text_of(row, "variant"), energies, "share of the dense energy", "", false};
        snprintf(id, sizeof id, "energy-%s", text_of(row, "variant"));
        draw_layers(d, &what, id, "Energy of the weights",
                    "Centred energy of each linear's rows, as a share of the dense weight's. Dashed: after "
                    "pruning. Solid: after compensation.");
    }
}
