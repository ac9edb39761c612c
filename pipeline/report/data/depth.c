#include "pipeline/report/data/depth.h"

#include "pipeline/report/data/members.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sums {
    double kept, weights, error, errors, before, after;
};

static void add_linear(struct sums *sums, const json_t *row)
{
    double kept, weights, error, before, after;

    if (number_of(&kept, row, "kept") && number_of(&weights, row, "weights")) {
        sums->kept += kept;
        sums->weights += weights;
    }
    if (number_of(&error, row, "output_error_compensated") || number_of(&error, row, "output_error_pruned")) {
        sums->error += error;
        sums->errors++;
    }
    if (number_of(&before, row, "energy_before") &&
        (number_of(&after, row, "energy_compensated") || number_of(&after, row, "energy_pruned"))) {
        sums->before += before;
        sums->after += after;
    }
}

bool layer_means(struct layer_mean *means, size_t layers, const json_t *report, const char *variant)
{
    struct sums *sums = calloc(layers + 1, sizeof *sums);
    bool any = false;
    size_t i;
    json_t *row;

    if (sums == NULL)
        return false;
    json_array_foreach(json_object_get(report, "linears"), i, row)
    {
        const json_int_t layer = json_integer_value(json_object_get(row, "layer"));
        if (strcmp(text_of(row, "variant"), variant) != 0 || layer < 0 || (size_t)layer >= layers)
            continue;
        add_linear(&sums[layer], row);
        any = true;
    }
    for (size_t l = 0; l < layers; l++)
        means[l] = (struct layer_mean){sums[l].weights > 0 ? 1 - sums[l].kept / sums[l].weights : NAN,
                                       sums[l].errors > 0 ? sums[l].error / sums[l].errors : NAN,
                                       sums[l].before > 0 ? sums[l].after / sums[l].before : NAN};
    free(sums);
    return any;
}
