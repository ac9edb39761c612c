#include "pipeline/plan/disk_need.h"

#include "io/model/weights/checkpoint.h"
#include "stages/export/export.h"
#include "stages/export/partial.h"

#include <fts.h>
#include <sys/stat.h>

static uint64_t less(uint64_t all, uint64_t part)
{
    return all > part ? all - part : 0;
}

// Bytes of the regular files below a folder; 0 where there is none.
static uint64_t bytes_below(char *folder)
{
    char *const roots[] = {folder, NULL};
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, NULL);
    uint64_t bytes = 0;

    for (const FTSENT *entry = NULL; tree != NULL && (entry = fts_read(tree)) != NULL;)
        bytes += entry->fts_info == FTS_F ? (uint64_t)entry->fts_statp->st_size : 0;
    if (tree != NULL)
        fts_close(tree);
    return bytes;
}

static uint64_t bytes_of(const struct settings *settings, enum run_folder kind)
{
    char folder[PATH_SIZE];
    run_folder_path(folder, settings->run, kind);
    return bytes_below(folder);
}

static uint64_t model_left(const struct plan *plan, const struct variant *variant,
                           const struct run_record *record)
{
    char output[PATH_SIZE], partial[PATH_SIZE], identity[40];
    export_path(output, sizeof output, plan->settings, variant);
    run_record_variant(identity, sizeof identity, record, variant->name);
    partial_find(partial, sizeof partial, output, identity);
    const uint64_t there = partial[0] != '\0' ? bytes_below(partial) : 0;
    return less(checkpoint_bytes(plan->model->checkpoint) + plan->sizes.side_files, there);
}

// Hidden states of the two layers that are needed at a time, of one stream.
static uint64_t least_activations(const struct plan *plan, const struct plan_cost *cost)
{
    const struct settings *settings = plan->settings;
    const size_t layers = plan->model->config.num_hidden_layers;
    if (settings->keep_activations)
        return cost->activations_bytes;
    return (layers > 2 ? 2 : layers - 1) * settings->sequences * settings->length *
           plan->model->config.decoder.hidden_size * sizeof(float);
}

// Weights that are not kept go variant by variant, but where all are made before the first is measured.
static bool all_weights_at_once(const struct settings *settings, const struct variant *variant)
{
    return settings->keep_weights ||
           (settings->propagation == PROPAGATION_DENSE && stream_owner(settings, variant) == NULL);
}

void disk_need_least(struct disk_need *need, const struct plan *plan, const struct plan_cost *cost,
                     const struct run_record *record)
{
    const struct settings *settings = plan->settings;
    uint64_t weights = 0, most_weights = 0, of_variant = 0;
    const struct variant *variant = NULL;
    bool calibrates = false, propagates = false;

    *need = (struct disk_need){0};
    for (size_t i = 0; i < plan->num_units; i++) {
        const struct unit *unit = &plan->units[i];
        const struct layer_size *layer = unit->layer >= 0 ? &plan->sizes.layers[unit->layer] : NULL;
        // An attempt's files go with the attempt.
        if (unit->variant != variant_base(unit->variant) || unit_is_done(unit, settings, record))
            continue;
        if (unit->stage == STAGE_CALIBRATE)
            need->run += (uint64_t)layer->statistics;
        else if (unit->stage == STAGE_SCORE)
            need->run += (uint64_t)layer->masks;
        else if (unit->stage == STAGE_EXPORT)
            need->output += model_left(plan, unit->variant, record);
        if (unit->stage == STAGE_COMPENSATE && all_weights_at_once(settings, unit->variant)) {
            weights += (uint64_t)layer->weights;
        } else if (unit->stage == STAGE_COMPENSATE) {
            of_variant = unit->variant == variant ? of_variant : 0; // its units are not mixed with others'
            variant = unit->variant;
            of_variant += (uint64_t)layer->weights;
            most_weights = of_variant > most_weights ? of_variant : most_weights;
        }
        calibrates = calibrates || unit->stage == STAGE_CALIBRATE;
        propagates = propagates || unit->stage == STAGE_CALIBRATE || unit->stage == STAGE_PROPAGATE;
    }
    need->run += weights + most_weights;
    if (calibrates)
        need->run += less(cost->hessians_bytes, bytes_of(settings, RUN_HESSIANS));
    if (propagates)
        need->run += less(least_activations(plan, cost), bytes_of(settings, RUN_ACTIVATIONS));
}
