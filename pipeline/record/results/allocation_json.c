#include "pipeline/record/results/allocation_json.h"

#include "stages/prune/allocation.h"
#include "stages/prune/measured_allocation.h"
#include "stages/prune/median_scores.h"
#include "stages/prune/outlier_counts.h"

#include <stdlib.h>

static enum status count_layers(size_t *layers, const struct settings *settings,
                                const struct variant *variant, struct error *err)
{
    *layers = 0;
    switch (variant->allocation) {
    case ALLOCATION_UNIFORM:
    case ALLOCATION_MEASURED: // is of linears
        break;
    case ALLOCATION_OWL:
        return outliers_layers(layers, settings, variant, err);
    case ALLOCATION_DLP:
        return medians_layers(layers, settings, err);
    }
    return STATUS_OK;
}

// {"layer", what was found, "sparsity"}; NULL after an error.
static json_t *layer_row(const struct settings *settings, const struct variant *variant, size_t layer,
                         double target, struct error *err)
{
    struct layer_outliers outliers;
    struct layer_median median;

    if (variant->allocation == ALLOCATION_DLP)
        return median_read(&median, settings, layer, err) != STATUS_OK
                   ? NULL
                   : json_pack("{s:I, s:f, s:f}", "layer", (json_int_t)layer, "median_score", median.median,
                               "sparsity", target);
    return outliers_read(&outliers, settings, variant, layer, err) != STATUS_OK
               ? NULL
               : json_pack("{s:I, s:f, s:f}", "layer", (json_int_t)layer, "outlier_ratio",
                           outlier_ratio(&outliers), "sparsity", target);
}

// {"layer", "linear", "weights", "sparsity", "curve": [[level, divergence]...]}
static json_t *curve_row(const struct curve *curve, size_t layer, double target)
{
    json_t *pairs = json_array();

    for (size_t k = 0; k < CURVE_LEVELS; k++)
        json_array_append_new(pairs, json_pack("[f, f]", curve_levels[k], curve->divergence[k]));
    return json_pack("{s:I, s:s, s:I, s:f, s:o}", "layer", (json_int_t)layer, "linear", curve->linear,
                     "weights", (json_int_t)curve->weights, "sparsity", target, "curve", pairs);
}

static json_t *measured_to_json(const struct settings *settings, const struct variant *variant,
                                struct error *err)
{
    struct measured_allocation allocation;
    json_t *array = NULL;

    if (measured_allocation_create(&allocation, settings, variant, err) == STATUS_OK)
        array = json_array();
    for (size_t l = 0; l < allocation.layers && array != NULL; l++)
        for (size_t i = 0; i < allocation.curves[l].count; i++)
            json_array_append_new(array,
                                  curve_row(&allocation.curves[l].curves[i], l, allocation.targets[l][i]));
    measured_allocation_free(&allocation);
    return array;
}

json_t *allocation_to_json(const struct settings *settings, const struct variant *variant, struct error *err)
{
    double *targets = NULL;
    json_t *array = NULL;
    size_t layers;

    if (variant != NULL && variant->allocation == ALLOCATION_MEASURED)
        return measured_to_json(settings, variant, err);
    if (variant == NULL || count_layers(&layers, settings, variant, err) != STATUS_OK || layers == 0)
        return NULL;
    if (allocate(&targets, layers, sizeof *targets, "the sparsity of the layers", err) == STATUS_OK &&
        allocation_targets(targets, settings, variant, layers, err) == STATUS_OK)
        array = json_array();
    for (size_t l = 0; l < layers && array != NULL; l++) {
        json_t *row = layer_row(settings, variant, l, targets[l], err);
        if (row == NULL) {
            json_decref(array);
            array = NULL;
        } else {
            json_array_append_new(array, row);
        }
    }
    free(targets);
    return array;
}
