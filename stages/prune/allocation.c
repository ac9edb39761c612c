#include "stages/prune/allocation.h"

#include "kernels/pruning/allocation/layer_medians.h"
#include "kernels/pruning/allocation/outliers.h"
#include "stages/budget/trials.h"
#include "stages/prune/layer_scores.h"
#include "stages/prune/measured_allocation.h"
#include "stages/prune/median_scores.h"
#include "stages/prune/outlier_counts.h"

#include <stdlib.h>

double linear_sparsity(const struct settings *settings, double target, size_t layer, const char *linear)
{
    const struct ratio *ratio = linear_ratio(settings, layer, linear);
    return ratio != NULL ? ratio->sparsity : target;
}

// ---- targets ----------------------------------------------------------------------------------------------

// What the files of the allocation say of the layers: [layers] each.
struct findings {
    double *values;  // of a layer: its share of outliers, or its median score
    double *weights; // how many of its weights are shared out
};

static enum status findings_create(struct findings *findings, size_t layers, struct error *err)
{
    FORWARD_IF_ERROR(
        allocate(&findings->values, layers, sizeof *findings->values, "what is known of the layers", err));
    return allocate(&findings->weights, layers, sizeof *findings->weights, "what is known of the layers",
                    err);
}

static void findings_free(struct findings *findings)
{
    free(findings->values);
    free(findings->weights);
}

static enum status targets_by_outliers(double *targets, struct findings *findings,
                                       const struct settings *settings, const struct variant *variant,
                                       size_t layers, struct error *err)
{
    for (size_t l = 0; l < layers; l++) {
        struct layer_outliers found;
        FORWARD_IF_ERROR(outliers_read(&found, settings, variant, l, err));
        findings->weights[l] = (double)found.weights;
        findings->values[l] = outlier_ratio(&found);
    }
    outlier_targets(targets, findings->values, findings->weights, layers, variant->sparsity,
                    variant->owl_range);
    return STATUS_OK;
}

// A layer of experts without tokens has no median, and keeps the job's sparsity.
static enum status targets_by_medians(double *targets, struct findings *findings,
                                      const struct settings *settings, const struct variant *variant,
                                      size_t layers, struct error *err)
{
    for (size_t l = 0; l < layers; l++) {
        struct layer_median found;
        FORWARD_IF_ERROR(median_read(&found, settings, l, err));
        findings->weights[l] = found.scored > 0 ? (double)found.weights : 0;
        findings->values[l] = found.median;
    }
    median_targets(targets, findings->values, findings->weights, layers, variant->sparsity,
                   variant->dlp_alpha);
    return STATUS_OK;
}

enum status allocation_targets(double *targets, const struct settings *settings,
                               const struct variant *searched, size_t layers, struct error *err)
{
    struct findings findings = {0};
    struct variant resolved;
    enum status status = budget_resolve(&resolved, settings, searched, err);
    const struct variant *variant = &resolved;

    if (status == STATUS_OK)
        status = findings_create(&findings, layers, err);
    if (status != STATUS_OK)
        goto done;
    switch (variant->allocation) {
    case ALLOCATION_UNIFORM:
    case ALLOCATION_MEASURED: // is of linears
        for (size_t l = 0; l < layers; l++)
            targets[l] = variant->sparsity;
        break;
    case ALLOCATION_OWL:
        status = targets_by_outliers(targets, &findings, settings, variant, layers, err);
        break;
    case ALLOCATION_DLP:
        status = targets_by_medians(targets, &findings, settings, variant, layers, err);
        break;
    }
done:
    findings_free(&findings);
    return status;
}

// ---- one layer
// ----------------------------------------------------------------------------------------------

// targets[num_tensors] <- those of the curves where a tensor has one.
static enum status find_measured(double *targets, const struct settings *settings,
                                 const struct variant *variant, const struct layer_map *map,
                                 struct error *err)
{
    struct measured_allocation allocation;
    enum status status = measured_allocation_create(&allocation, settings, variant, err);

    if (status == STATUS_OK && map->layer >= allocation.layers)
        status = error_set(err, STATUS_DAMAGED, "the curves are of a model of %zu layers", allocation.layers);
    for (size_t i = 0; i < map->num_tensors && status == STATUS_OK; i++) {
        const struct layer_curves *curves = &allocation.curves[map->layer];
        const struct curve *curve = layer_curves_find(curves, &map->tensors[i]);
        if (curve != NULL)
            targets[i] = allocation.targets[map->layer][curve - curves->curves];
        else if (linear_is_allocated(settings, map->layer, &map->tensors[i]))
            status = error_set(err, STATUS_DAMAGED, "layers.%zu.%s: the layer's curves do not have it",
                               map->layer, map->tensors[i].linear);
    }
    measured_allocation_free(&allocation);
    return status;
}

// targets[num_tensors] <- that of their layer.
static enum status find_of_layer(double *targets, const struct stage *stage, const struct variant *variant,
                                 const struct layer_map *map, struct error *err)
{
    const size_t layers = stage->model->config.num_hidden_layers;
    double *all = NULL;
    enum status status = allocate(&all, layers, sizeof *all, "the sparsity of the layers", err);

    if (status == STATUS_OK)
        status = allocation_targets(all, stage->settings, variant, layers, err);
    for (size_t i = 0; i < map->num_tensors && status == STATUS_OK; i++)
        targets[i] = all[map->layer];
    free(all);
    return status;
}

enum status allocation_of_layer(double *targets, const struct stage *stage, const struct variant *variant,
                                const struct layer_map *map, struct error *err)
{
    const bool is_looked_up = variant->allocation != ALLOCATION_UNIFORM || variant_is_searched(variant);
    enum status status = STATUS_OK;

    for (size_t i = 0; i < map->num_tensors; i++)
        targets[i] = variant->sparsity;
    if (stage->team->rank == 0 && variant->allocation == ALLOCATION_MEASURED)
        status = find_measured(targets, stage->settings, variant, map, err);
    else if (stage->team->rank == 0 && is_looked_up)
        status = find_of_layer(targets, stage, variant, map, err);
    if (is_looked_up) {
        FORWARD_IF_ERROR(team_agree(stage->team, status, err));
        FORWARD_IF_ERROR(team_broadcast(stage->team, targets, map->num_tensors * sizeof *targets, 0, err));
    }
    for (size_t i = 0; i < map->num_tensors; i++)
        targets[i] = linear_sparsity(stage->settings, targets[i], map->layer, map->tensors[i].linear);
    return STATUS_OK;
}

// ---- the job ----------------------------------------------------------------------------------------------

static bool skips_any(const struct settings *settings, size_t s, const struct layer_map *map)
{
    struct settings one = *settings;
    one.skip = &settings->skip[s];
    one.num_skip = 1;
    for (size_t i = 0; i < map->num_tensors; i++)
        if (map->tensors[i].linear[0] != '\0' && linear_is_skipped(&one, map->layer, map->tensors[i].linear))
            return true;
    return false;
}

// Sets skips[s] where pattern s of settings->num_skip fits a linear of the layer, and found[r] where pattern
// r of settings->num_ratios, taken by itself, fits a pruned linear of the layer.
static void find_fits(uint8_t *skips, uint8_t *found, const struct settings *settings,
                      const struct layer_map *map)
{
    for (size_t s = 0; s < settings->num_skip; s++)
        skips[s] = skips[s] != 0 || skips_any(settings, s, map);
    for (size_t r = 0; r < settings->num_ratios; r++) {
        struct settings one = *settings;
        one.ratios = &settings->ratios[r];
        one.num_ratios = 1;
        for (size_t i = 0; i < map->num_tensors && found[r] == 0; i++)
            found[r] = tensor_is_pruned(settings, map->layer, &map->tensors[i]) &&
                       linear_ratio(&one, map->layer, map->tensors[i].linear) != NULL;
    }
}

enum status allocation_check(const struct model *model, const struct settings *settings, const char *job,
                             struct error *err)
{
    uint8_t *skips = NULL, *found = NULL;
    char place[SETTING_PLACE_SIZE];
    enum status status = allocate(&found, settings->num_ratios, 1, "prune.ratios", err);

    if (status == STATUS_OK)
        status = allocate(&skips, settings->num_skip, 1, "prune.skip", err);
    for (size_t l = 0; l < model->config.num_hidden_layers && status == STATUS_OK; l++) {
        struct layer_map map;
        status = layer_map_create(&map, model, l, err);
        if (status != STATUS_OK)
            break;
        find_fits(skips, found, settings, &map);
        layer_map_free(&map);
    }
    for (size_t s = 0; s < settings->num_skip && status == STATUS_OK; s++)
        if (skips[s] == 0)
            status = error_set(err, STATUS_USAGE, "%sprune.skip: '%.100s' fits no linear of the model",
                               setting_place(place, job, settings->skip[s].line), settings->skip[s].pattern);
    for (size_t r = 0; r < settings->num_ratios && status == STATUS_OK; r++)
        if (found[r] == 0)
            status = error_set(
                err, STATUS_USAGE, "%sprune.ratios: '%.100s' fits no linear of the model that is pruned",
                setting_place(place, job, settings->ratios[r].line), settings->ratios[r].pattern);
    free(skips);
    free(found);
    return status;
}
