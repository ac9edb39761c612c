#include "pipeline/plan/unit.h"

#include "io/file/run_directory.h"
#include "io/file/sealed_json.h"
#include "io/store/store.h"
#include "stages/evaluate/perplexity.h"
#include "stages/evaluate/tasks.h"
#include "stages/export/export.h"
#include "stages/layer/hessian.h"
#include "stages/layer/sequences.h"
#include "stages/prune/allocation.h"
#include "stages/stage.h"

const char *stage_name(enum stage_kind stage)
{
    static const char *const names[STAGE_COUNT] = {"sequences", "calibrate",  "outliers",
                                                   "score",     "compensate", "propagate",
                                                   "evaluate",  "tasks",      "export"};
    return names[stage];
}

void unit_path(char *path, size_t size, const struct unit *unit, const struct settings *settings)
{
    const size_t layer = unit->layer >= 0 ? (size_t)unit->layer : 0;
    switch (unit->stage) {
    case STAGE_SEQUENCES:
        sequences_path(path, size, settings);
        return;
    case STAGE_CALIBRATE:
        run_layer_path(path, size, settings->run, "statistics", stream_name(settings, unit->variant), layer);
        return;
    case STAGE_OUTLIERS:
        outliers_path(path, size, settings, unit->variant, layer);
        return;
    case STAGE_SCORE:
        run_layer_path(path, size, settings->run, "masks", unit->variant->name, layer);
        return;
    case STAGE_COMPENSATE:
        run_layer_path(path, size, settings->run, "weights", unit->variant->name, layer);
        return;
    case STAGE_PROPAGATE:
        run_layer_path(path, size, settings->run, "activations", hidden_stream(settings, unit->variant),
                       layer + 1);
        return;
    case STAGE_EVALUATE:
        perplexity_path(path, size, settings, unit->variant);
        return;
    case STAGE_TASKS:
        task_result_path(path, size, settings, unit->task, unit->variant);
        return;
    case STAGE_EXPORT:
        export_path(path, size, settings, unit->variant);
        return;
    }
}

static bool is_result(const struct unit *unit, const struct settings *settings)
{
    char path[PATH_SIZE];
    unit_path(path, sizeof path, unit, settings);
    return sealed_json_read(NULL, path, NULL) == STATUS_OK;
}

bool results_are_done(const struct settings *settings, const struct variant *variant, const struct unit *but)
{
    struct unit unit = {.stage = STAGE_EVALUATE, .variant = variant, .layer = NO_LAYER};
    bool done = settings->output == NULL && (settings->perplexity != NULL || settings->num_tasks > 0);

    if (settings->perplexity != NULL && (but == NULL || but->stage != STAGE_EVALUATE))
        done = done && is_result(&unit, settings);
    unit.stage = STAGE_TASKS;
    for (unit.task = 0; unit.task < settings->num_tasks && done; unit.task++)
        if (but == NULL || but->stage != STAGE_TASKS || but->task != unit.task)
            done = is_result(&unit, settings);
    return done;
}

bool weights_are_done(const struct settings *settings, const struct variant *variant, size_t layer)
{
    char path[PATH_SIZE];
    run_layer_path(path, sizeof path, settings->run, "weights", variant->name, layer);
    return store_exists(path) || (!settings->keep_weights && results_are_done(settings, variant, NULL));
}

// What propagation makes is only needed for the next layer, and removed afterwards.
static bool is_past(const struct unit *unit, const struct settings *settings)
{
    const size_t next = (size_t)unit->layer + 1;
    char path[PATH_SIZE];
    bool past = true;

    if (unit->variant != NULL && settings->propagation == PROPAGATION_DENSE)
        return weights_are_done(settings, unit->variant, next);
    if (unit->variant != NULL) {
        run_layer_path(path, sizeof path, settings->run, "statistics", unit->variant->name, next);
        return store_exists(path);
    }
    for (size_t v = 0; v < settings->num_variants && past; v++)
        past = !variant_matches(&settings->variants[v]) ||
               weights_are_done(settings, &settings->variants[v], next);
    return past;
}

bool hessian_is_needed(const struct settings *settings, const struct variant *variant, size_t layer)
{
    const bool dense = settings->propagation == PROPAGATION_DENSE;
    char path[PATH_SIZE];
    for (size_t v = 0; v < settings->num_variants; v++) {
        const struct variant *other = &settings->variants[v];
        if (!(method_needs(other->method) & NEEDS_HESSIAN) || (!dense && other != variant))
            continue;
        run_layer_path(path, sizeof path, settings->run, "masks", other->name, layer);
        if (!store_exists(path))
            return true;
    }
    return false;
}

bool unit_is_done(const struct unit *unit, const struct settings *settings, const struct run_record *record)
{
    char path[PATH_SIZE], identity[40];
    unit_path(path, sizeof path, unit, settings);
    switch (unit->stage) {
    case STAGE_EXPORT:
        run_record_variant(identity, sizeof identity, record, unit->variant);
        return export_state_of(path, identity, NULL) == EXPORT_DONE;
    case STAGE_EVALUATE:
    case STAGE_TASKS:
    case STAGE_OUTLIERS:
        return sealed_json_read(NULL, path, NULL) == STATUS_OK; // small: a damaged one is as good as none
    case STAGE_COMPENSATE:
        return weights_are_done(settings, unit->variant, (size_t)unit->layer);
    case STAGE_PROPAGATE:
        return store_exists(path) || is_past(unit, settings);
    case STAGE_CALIBRATE:
        // Statistics of an earlier job may be there without the Hessian that this one asks for.
        if (!store_exists(path) || !hessian_is_needed(settings, unit->variant, (size_t)unit->layer))
            return store_exists(path);
        hessian_path(path, settings, stream_name(settings, unit->variant), (size_t)unit->layer);
        return store_exists(path);
    default:
        return store_exists(path);
    }
}

// What a mask is made of, besides the model.
static bool score_input(char *path, size_t size, const struct unit *unit, const struct settings *settings,
                        size_t layers, size_t index)
{
    const struct variant *variant = unit->variant;
    const char *stream = stream_name(settings, variant);
    const unsigned needs = importance_needs(variant->method, &variant->parameters);

    if (variant->allocation == ALLOCATION_OWL && index < layers) {
        outliers_path(path, size, settings, variant, index);
        return true;
    }
    if (variant->allocation == ALLOCATION_OWL)
        index -= layers;
    if (index != 0 || !(needs & (NEEDS_HESSIAN | NEEDS_STATISTICS)))
        return false;
    if (needs & NEEDS_HESSIAN)
        hessian_path(path, settings, stream, (size_t)unit->layer);
    else
        run_layer_path(path, size, settings->run, "statistics", stream, (size_t)unit->layer);
    return true;
}

bool unit_input(char *path, size_t size, const struct unit *unit, const struct settings *settings,
                size_t layers, size_t index)
{
    struct unit input = *unit;
    // Where the pruned model is read from.
    const enum stage_kind pruned = unit->variant != NULL && !weights_are_written(settings, unit->variant)
                                       ? STAGE_SCORE
                                       : STAGE_COMPENSATE;
    switch (unit->stage) {
    case STAGE_SEQUENCES:
        return false;
    case STAGE_CALIBRATE:
    case STAGE_PROPAGATE:
        // Hidden states of earlier layers are made again when they are missing, down to the token ids.
        input.stage = STAGE_SEQUENCES;
        if (index == 1 && unit->stage == STAGE_PROPAGATE && unit->variant != NULL)
            input.stage = pruned;
        else if (index != 0)
            return false;
        break;
    case STAGE_OUTLIERS:
        if (index != 0)
            return false;
        input.stage = STAGE_CALIBRATE;
        input.variant = NULL;
        break;
    case STAGE_SCORE:
        return score_input(path, size, unit, settings, layers, index);
    case STAGE_COMPENSATE:
        if (index != 0)
            return false;
        input.stage = STAGE_SCORE;
        break;
    case STAGE_EVALUATE:
    case STAGE_TASKS:
    case STAGE_EXPORT:
        if (unit->variant == NULL || index >= layers)
            return false;
        input.stage = pruned;
        input.layer = (long)index;
        break;
    }
    unit_path(path, size, &input, settings);
    return true;
}
