#include "stages/prune/measured_allocation.h"

#include "kernels/pruning/allocation/curves.h"
#include "stages/budget/trials.h"

#include <stdlib.h>
#include <string.h>

void measured_allocation_free(struct measured_allocation *allocation)
{
    for (size_t l = 0; l < allocation->layers && allocation->curves != NULL; l++)
        layer_curves_free(&allocation->curves[l]);
    free(allocation->curves);
    free(allocation->targets);
    free(allocation->all);
    *allocation = (struct measured_allocation){0};
}

static enum status read_layers(struct measured_allocation *allocation, const struct settings *settings,
                               const struct variant *variant, struct error *err)
{
    struct layer_curves first;
    size_t layers;
    enum status status = curves_read(&first, &layers, settings, variant, 0, err);

    layer_curves_free(&first);
    FORWARD_IF_ERROR(status);
    FORWARD_IF_ERROR(
        allocate(&allocation->curves, layers, sizeof *allocation->curves, "curves of all layers", err));
    FORWARD_IF_ERROR(
        allocate(&allocation->targets, layers, sizeof *allocation->targets, "curves of all layers", err));
    allocation->layers = layers;
    for (size_t l = 0; l < layers; l++) {
        FORWARD_IF_ERROR(curves_read(&allocation->curves[l], NULL, settings, variant, l, err));
        allocation->count += allocation->curves[l].count;
    }
    return STATUS_OK;
}

// Sparsities that are chosen from: 0, 0.02 ... 0.9.
enum { CHOICES = 46 };
static const double choices_per_one = 50;

// What the choices cost: `fine` of choices[CHOICES], from the costs at the levels.
static void refine(double *fine, const double *choices, double *costs)
{
    curve_make_monotone(costs, CURVE_LEVELS);
    for (size_t k = 0; k < CHOICES; k++)
        fine[k] = curve_at(choices[k], curve_levels, costs, CURVE_LEVELS);
    curve_make_monotone(fine, CHOICES);
}

// One row for each curve, in the order of the layers. coarse[most, CURVE_LEVELS] has room for any layer.
static void fill_table(double *costs, double *weights, double *coarse, const double *choices,
                       const struct measured_allocation *allocation)
{
    size_t row = 0;
    for (size_t l = 0; l < allocation->layers; l++) {
        const struct layer_curves *curves = &allocation->curves[l];
        for (size_t i = 0; i < curves->count; i++)
            memcpy(coarse + i * CURVE_LEVELS, curves->curves[i].divergence, CURVE_LEVELS * sizeof *coarse);
        curves_charge_together(coarse, curves->together.divergence, curves->count, CURVE_LEVELS);
        for (size_t i = 0; i < curves->count; i++, row++) {
            refine(costs + row * CHOICES, choices, coarse + i * CURVE_LEVELS);
            weights[row] = (double)curves->curves[i].weights;
        }
    }
}

static enum status choose(struct measured_allocation *allocation, double sparsity, struct error *err)
{
    const size_t count = allocation->count;
    struct curve_segment *segments = NULL;
    double *costs = NULL, *weights = NULL, *coarse = NULL, choices[CHOICES];
    size_t row = 0;
    enum status status = allocate(&costs, count * CHOICES, sizeof *costs, "costs of levels", err);

    if (status == STATUS_OK)
        status = allocate(&weights, count, sizeof *weights, "costs of levels", err);
    if (status == STATUS_OK)
        status = allocate(&coarse, count * CURVE_LEVELS, sizeof *coarse, "costs of levels", err);
    if (status == STATUS_OK)
        status = allocate(&segments, count * CHOICES, sizeof *segments, "costs of levels", err);
    if (status == STATUS_OK)
        status = allocate(&allocation->all, count, sizeof *allocation->all, "sparsities", err);
    if (status != STATUS_OK)
        goto done;
    for (size_t k = 0; k < CHOICES; k++)
        choices[k] = (double)k / choices_per_one;
    fill_table(costs, weights, coarse, choices, allocation);
    const struct curve_table table = {count, CHOICES, choices, costs, weights};
    allocation->divergence = curve_targets(allocation->all, &table, sparsity, segments, NULL);
    for (size_t l = 0; l < allocation->layers; l++) {
        allocation->targets[l] = allocation->all + row;
        row += allocation->curves[l].count;
    }
done:
    free(costs);
    free(weights);
    free(coarse);
    free(segments);
    return status;
}

enum status measured_allocation_create(struct measured_allocation *allocation,
                                       const struct settings *settings, const struct variant *variant,
                                       struct error *err)
{
    *allocation = (struct measured_allocation){0};
    struct variant resolved;
    FORWARD_IF_ERROR(budget_resolve(&resolved, settings, variant, err));
    FORWARD_IF_ERROR(read_layers(allocation, settings, variant, err));
    return choose(allocation, resolved.sparsity, err);
}
