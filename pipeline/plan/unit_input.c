#include "pipeline/plan/unit_input.h"

#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "stages/budget/trials.h"
#include "stages/layer/hessian.h"
#include "stages/prune/curve_file.h"
#include "stages/stage.h"

// Arguments as those of unit_input.
typedef bool input_function(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                            size_t layers, size_t index);

// The proof of the same layer's unit of another stage.
static bool proof_of(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                     enum stage_kind stage)
{
    struct unit other = *unit;
    other.stage = stage;
    unit_path(path, &other, settings);
    return true;
}

// The file that a layer of the pruned model is read from.
static bool pruned_layer(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    return proof_of(path, unit, settings,
                    weights_are_written(settings, unit->variant) ? STAGE_COMPENSATE : STAGE_SCORE);
}

// All layers of the pruned model; nothing of the dense one.
static bool pruned_model(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                         size_t layers, size_t index)
{
    struct unit layer = *unit;
    layer.layer = (long)index;
    return unit->variant != NULL && index < layers && pruned_layer(path, &layer, settings);
}

// What says which sparsity a searched variant or an attempt has: the end of the search, or the attempts
// before.
static size_t search_inputs(const struct variant *variant)
{
    return !variant_is_searched(variant) ? 0 : variant->base != NULL ? variant->attempt : 1;
}

static void search_input(char path[PATH_SIZE], const struct variant *variant, const struct settings *settings,
                         size_t index)
{
    if (variant->base == NULL)
        budget_path(path, settings, variant);
    else if (index == 0)
        budget_path(path, settings, NULL);
    else
        run_budget_path(path, settings->run, variant->base->name, index);
}

static bool input_held_out(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                           size_t layers, size_t index)
{
    (void)path, (void)unit, (void)settings, (void)layers, (void)index;
    return false;
}

static bool input_sequences(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                            size_t layers, size_t index)
{
    (void)path, (void)unit, (void)settings, (void)layers, (void)index;
    return false;
}

// Hidden states of earlier layers are made again when they are missing, down to the token ids.
static bool input_calibrate(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                            size_t layers, size_t index)
{
    const size_t search = search_inputs(unit->variant);
    (void)layers;
    if (index < search)
        search_input(path, unit->variant, settings, index);
    return index < search || (index == search && proof_of(path, unit, settings, STAGE_SEQUENCES));
}

static bool input_outliers(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                           size_t layers, size_t index)
{
    const struct unit dense = {.layer = unit->layer};
    (void)layers;
    return index == 0 && proof_of(path, &dense, settings, STAGE_CALIBRATE);
}

static bool input_medians(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                          size_t layers, size_t index)
{
    return input_outliers(path, unit, settings, layers, index);
}

static bool input_curves(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                         size_t layers, size_t index)
{
    const struct variant scored = curve_variant(unit->variant);
    const bool statistics = importance_needs(scored.method, &scored.parameters) & NEEDS_STATISTICS;
    if (index == 0)
        return proof_of(path, unit, settings, STAGE_SEQUENCES);
    if (index == 1 && statistics)
        return input_outliers(path, unit, settings, layers, 0);
    if (index != (statistics ? 2 : 1) || !curves_are_solved(unit->variant))
        return false;
    hessian_path(path, settings, DENSE_NAME, (size_t)unit->layer);
    return true;
}

// A mask is made of the model, of what its allocation knows of all layers, and of statistics.
static bool input_score(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                        size_t layers, size_t index)
{
    const struct variant *variant = unit->variant;
    const unsigned needs = importance_needs(variant->method, &variant->parameters);

    if (index < search_inputs(variant)) {
        search_input(path, variant, settings, index);
        return true;
    }
    index -= search_inputs(variant);
    if (allocation_stage(variant) != STAGE_COUNT && index < layers) {
        struct unit layer = *unit;
        layer.layer = (long)index;
        return proof_of(path, &layer, settings, allocation_stage(variant));
    }
    if (allocation_stage(variant) != STAGE_COUNT)
        index -= layers;
    if (variant_is_joint(variant))
        return index == 0 && proof_of(path, unit, settings, STAGE_SEQUENCES);
    // Sparsegpt orders columns by statistics.
    if (index == 1 && needs & NEEDS_HESSIAN && variant->permute)
        return proof_of(path, unit, settings, STAGE_CALIBRATE);
    if (index != 0 || !(needs & (NEEDS_HESSIAN | NEEDS_STATISTICS)))
        return false;
    if (needs & NEEDS_HESSIAN) {
        hessian_path(path, settings, stream_name(settings, variant), (size_t)unit->layer);
        return true;
    }
    return proof_of(path, unit, settings, STAGE_CALIBRATE);
}

static bool input_compensate(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                             size_t layers, size_t index)
{
    (void)layers;
    return index == 0 && proof_of(path, unit, settings, STAGE_SCORE);
}

static bool input_propagate(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                            size_t layers, size_t index)
{
    (void)layers;
    if (index == 1 && unit->variant != NULL)
        return pruned_layer(path, unit, settings);
    return index == 0 && proof_of(path, unit, settings, STAGE_SEQUENCES);
}

// The text, and for an attempt the model and what came before; the end of a search reads the verdicts that
// there are.
static bool input_attempt(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                          size_t layers, size_t index)
{
    const struct variant *variant = unit->variant;
    const size_t search = search_inputs(variant);

    if (variant != NULL && variant->base == NULL) {
        if (index == 0)
            budget_path(path, settings, NULL);
        else
            run_budget_path(path, settings->run, variant->name, index);
        return index <= BUDGET_ATTEMPTS && (index == 0 || store_exists(path));
    }
    if (index == 0)
        return proof_of(path, unit, settings, STAGE_HELD_OUT);
    if (index - 1 < search) {
        search_input(path, variant, settings, index - 1);
        return true;
    }
    return pruned_model(path, unit, settings, layers, index - 1 - search);
}

static input_function *const input_evaluate = pruned_model, *const input_tasks = pruned_model;

// The weights of all layers, and their masks, which say how many weights are kept.
static bool input_export(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings,
                         size_t layers, size_t index)
{
    struct unit layer = *unit;
    layer.layer = (long)(index % layers);
    return index < 2 * layers &&
           proof_of(path, &layer, settings, index < layers ? STAGE_COMPENSATE : STAGE_SCORE);
}

bool unit_input(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings, size_t layers,
                size_t index)
{
    input_function *const inputs[STAGE_COUNT] = {
#define INPUT(kind, name, ...) [STAGE_##kind] = input_##name,
        STAGES(INPUT)
#undef INPUT
    };
    return inputs[unit->stage](path, unit, settings, layers, index);
}
