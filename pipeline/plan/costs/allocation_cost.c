// Where the sparsity goes: outliers, medians, curves.
#include "pipeline/plan/costs/stage_costs.h"

#include "kernels/pruning/masks/select.h"
#include "stages/layer/model_trial.h"
#include "stages/prune/curve_file.h"
#include "stages/prune/curves.h"
#include "stages/stage.h"
#include "stages/work.h"

#include <math.h>
#include <string.h>

// ---- outliers -------------------------------------------------------------------------------------------

// Variants share the files of their allocation, which are work for the first of them.
static bool is_of_another_variant(const struct sizes *sizes, const struct unit *unit)
{
    char path[PATH_SIZE], other[PATH_SIZE];

    unit_path(path, unit, sizes->settings);
    for (const struct variant *v = sizes->settings->variants; v < unit->variant; v++) {
        const struct unit same = {.stage = unit->stage, .variant = v, .layer = unit->layer};
        if (allocation_stage(v) != unit->stage)
            continue;
        unit_path(other, &same, sizes->settings);
        if (strcmp(path, other) == 0)
            return true;
    }
    return false;
}

double work_outliers(const struct sizes *sizes, const struct unit *unit)
{
    return is_of_another_variant(sizes, unit) ? 0 : score_work(layer_of(sizes, unit)->pruned);
}

// Scores are computed twice: for their mean, and to count those far above it.
void time_outliers(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);

    if (is_of_another_variant(w->sizes, unit))
        return;
    spend_loading(w, e, (size_t)unit->layer, NULL);
    spend_reading(w, e, layer->statistics);
    spend_sweep(w, e, 2 * layer->pruned, w->machine->score, score_traffic);
    spend_file(w, e, 256, 1);
    spend_agreeing(w, e, 4 * layer->linears);
}

// ---- medians ----------------------------------------------------------------------------------------------

double work_medians(const struct sizes *sizes, const struct unit *unit)
{
    return work_outliers(sizes, unit);
}

// The digits of the median are found in a pass over the scores each.
void time_medians(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);

    if (is_of_another_variant(w->sizes, unit))
        return;
    spend_loading(w, e, (size_t)unit->layer, NULL);
    spend_reading(w, e, (1 + SELECT_DIGITS) * layer->statistics);
    spend_sweep(w, e, (double)SELECT_DIGITS * layer->pruned, w->machine->score, score_traffic);
    spend_file(w, e, 256, 1);
    spend_agreeing(w, e, (2 + 2 * SELECT_DIGITS) * layer->linears);
}

// ---- curves -----------------------------------------------------------------------------------------------

// Every curve's levels but the first, which is the dense model.
static double curve_candidates(const struct sizes *sizes, const struct unit *unit)
{
    return layer_of(sizes, unit)->curves * (CURVE_LEVELS - 1);
}

double work_curves(const struct sizes *sizes, const struct unit *unit)
{
    struct trial_passes_work work = {.head = lm_head_work(sizes->model, (double)sizes->settings->length)};

    if (is_of_another_variant(sizes, unit) || curve_candidates(sizes, unit) == 0)
        return 0;
    for (size_t layer = 0; layer < sizes->num_layers; layer++)
        *(layer < (size_t)unit->layer ? &work.before : &work.after) += sizes->layers[layer].forward;
    return try_in_model_work(&work, (size_t)curve_candidates(sizes, unit),
                             curve_sequences(sizes->settings, unit->variant));
}

void time_curves(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct sizes *sizes = w->sizes;
    const struct layer_size *layer = layer_of(sizes, unit);
    const double candidates = curve_candidates(sizes, unit),
                 sequences = (double)curve_sequences(sizes->settings, unit->variant);

    if (is_of_another_variant(sizes, unit) || candidates == 0)
        return;
    const struct trial_batches batches = trial_batches_of(
        sizes->model, sizes->settings->length, (size_t)sequences, (size_t)candidates, (size_t)w->ranks);
    const double groups = ceil(sequences / (w->ranks * (double)batches.group));
    const double sweeps = groups * ceil(candidates / (double)batches.batch);
    spend_passes(w, e, sequences, work_curves(sizes, unit));
    if (curves_are_solved(unit->variant)) // each alone and all together
        spend_computing(w, e, groups * (CURVE_LEVELS - 1) * 2 * layer->solving / w->ranks);
    spend_loading(w, e, (size_t)unit->layer, NULL); // the copy that candidates are put into
    for (size_t l = 0; l < sizes->num_layers; l++) {
        struct worker alone = *w;
        const double times = groups + (l >= (size_t)unit->layer ? sweeps : 0);
        for (double time = 0; time < times; time++) {
            alone.loaded = 0;
            spend_loading(&alone, e, l, NULL);
        }
    }
    w->loaded = 0;
    spend_reading(w, e, groups * (CURVE_LEVELS - 1) * layer->statistics);
    spend_sweep(w, e, groups * (CURVE_LEVELS - 1) * layer->curved, w->machine->score, score_traffic);
    spend_file(w, e, 4096, 1);
    spend_agreeing(w, e, groups * candidates * (8 + (double)sizes->num_layers));
}
