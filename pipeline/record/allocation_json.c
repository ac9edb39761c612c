#include "pipeline/record/allocation_json.h"

#include "stages/prune/allocation.h"

#include <stdlib.h>

json_t *allocation_to_json(const struct settings *settings, const struct variant *variant, struct error *err)
{
    struct layer_outliers *outliers = NULL;
    double *targets = NULL;
    json_t *array = NULL;
    size_t layers;

    if (variant == NULL || variant->allocation != ALLOCATION_OWL ||
        outliers_layers(&layers, settings, variant, err) != STATUS_OK)
        return NULL;
    if (allocate(&targets, layers, sizeof *targets, "the sparsity of the layers", err) == STATUS_OK &&
        allocate(&outliers, layers, sizeof *outliers, "the sparsity of the layers", err) == STATUS_OK &&
        allocation_targets(targets, outliers, settings, variant, layers, err) == STATUS_OK)
        array = json_array();
    for (size_t l = 0; l < layers && array != NULL; l++) {
        json_array_append_new(array, json_pack("{s:I, s:f, s:f}", "layer", (json_int_t)l, "outlier_ratio",
                                               outlier_ratio(&outliers[l]), "sparsity", targets[l]));
    }
    free(targets);
    free(outliers);
    return array;
}
