#include "pipeline/plan/unit.h"

#include "io/file/run_paths.h"
#include "io/file/sealed_json.h"
#include "io/store/store.h"
#include "pipeline/record/run_json/outputs.h"
#include "stages/budget/trials.h"
#include "stages/evaluate/parts.h"
#include "stages/evaluate/perplexity.h"
#include "stages/evaluate/tasks.h"
#include "stages/export/export.h"
#include "stages/layer/hessian.h"
#include "stages/layer/sequences.h"
#include "stages/prune/curve_file.h"
#include "stages/prune/outlier_counts.h"
#include "stages/stage.h"

#include <math.h>

const char *unit_variant_name(const struct unit *unit)
{
    return variant_name(unit->variant);
}

const char *unit_owner_name(const struct unit *unit)
{
    return variant_name(variant_base(unit->variant));
}

const char *unit_task_name(const struct unit *unit, const struct settings *settings)
{
    const enum unit_of of = stage_row(unit->stage)->unit_of;
    return of == UNIT_OF_TASK   ? settings->tasks[unit->task].name
           : of == UNIT_OF_TEXT ? text_label(settings, unit->task)
                                : NULL;
}

enum stage_kind allocation_stage(const struct variant *variant)
{
    switch (variant->allocation) {
    case ALLOCATION_UNIFORM:
        break;
    case ALLOCATION_OWL:
        return STAGE_OUTLIERS;
    case ALLOCATION_DLP:
        return STAGE_MEDIANS;
    case ALLOCATION_MEASURED:
        return STAGE_CURVES;
    }
    return STAGE_COUNT;
}

// ---- the file of each stage -----------------------------------------------------------------------------

static size_t layer_of(const struct unit *unit)
{
    return unit->layer >= 0 ? (size_t)unit->layer : 0;
}

static void path_sequences(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    (void)unit;
    sequences_path(path, settings);
}

static void path_held_out(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    (void)unit;
    run_file_path(path, settings->run, RUN_HELD_OUT);
}

static void path_calibrate(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    run_layer_path(path, settings->run, RUN_STATISTICS, stream_name(settings, unit->variant), layer_of(unit));
}

static void path_outliers(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    outliers_path(path, settings, unit->variant, layer_of(unit));
}

static void path_medians(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    run_medians_path(path, settings->run, layer_of(unit));
}

static void path_curves(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    curves_path(path, settings, unit->variant, layer_of(unit));
}

static void path_score(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    run_layer_path(path, settings->run, RUN_MASKS, unit->variant->name, layer_of(unit));
}

static void path_compensate(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    run_layer_path(path, settings->run, RUN_WEIGHTS, unit->variant->name, layer_of(unit));
}

static void path_propagate(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    run_layer_path(path, settings->run, RUN_ACTIVATIONS, hidden_stream(settings, unit->variant),
                   layer_of(unit) + 1);
}

static void path_attempt(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    budget_path(path, settings, unit->variant);
}

static void path_evaluate(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    perplexity_path(path, settings, unit->task, unit->variant);
}

static void path_tasks(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    task_result_path(path, settings, unit->task, unit->variant);
}

static void path_export(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    export_path(path, PATH_SIZE, settings, unit->variant);
}

void unit_path(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    static void (*const paths[STAGE_COUNT])(char *, const struct unit *, const struct settings *) = {
#define PATH(kind, name, ...) [STAGE_##kind] = path_##name,
        STAGES(PATH)
#undef PATH
    };
    paths[unit->stage](path, unit, settings);
}

// ---- whether it is done ---------------------------------------------------------------------------------

static bool is_result(const struct unit *unit, const struct settings *settings)
{
    char path[PATH_SIZE];
    unit_path(path, unit, settings);
    return sealed_json_read(NULL, path, NULL) == STATUS_OK;
}

bool results_are_done(const struct settings *settings, const struct variant *variant, const struct unit *but)
{
    struct unit unit = {.stage = STAGE_EVALUATE, .variant = variant, .layer = NO_LAYER};
    bool done = settings->output == NULL && (settings->num_texts > 0 || settings->num_tasks > 0);

    for (; unit.task < settings->num_texts && done; unit.task++)
        if (but == NULL || but->stage != STAGE_EVALUATE || but->task != unit.task)
            done = is_result(&unit, settings);
    unit.stage = STAGE_TASKS;
    for (unit.task = 0; unit.task < settings->num_tasks && done; unit.task++)
        if (but == NULL || but->stage != STAGE_TASKS || but->task != unit.task)
            done = is_result(&unit, settings);
    return done;
}

bool weights_are_done(const struct settings *settings, const struct variant *variant, size_t layer)
{
    char path[PATH_SIZE];
    run_layer_path(path, settings->run, RUN_WEIGHTS, variant->name, layer);
    return store_exists(path) || (!settings->keep_weights && results_are_done(settings, variant, NULL));
}

// Whether the variant has still to be pruned or compensated towards the dense model's outputs of the layer.
static bool still_reads_dense(const struct settings *settings, const struct variant *variant, size_t layer)
{
    char path[PATH_SIZE];

    if (variant_matches(variant))
        return !weights_are_done(settings, variant, layer);
    run_layer_path(path, settings->run, RUN_MASKS, variant->name, layer);
    return variant_is_joint(variant) && !store_exists(path);
}

// Propagated states are only needed for the next layer, and removed afterwards.
static bool is_past(const struct unit *unit, const struct settings *settings)
{
    const size_t next = (size_t)unit->layer + 1;
    char path[PATH_SIZE];
    bool past = true;

    if (unit->variant != NULL && settings->propagation == PROPAGATION_DENSE)
        return weights_are_done(settings, unit->variant, next);
    if (unit->variant != NULL) {
        run_layer_path(path, settings->run, variant_is_joint(unit->variant) ? RUN_MASKS : RUN_STATISTICS,
                       unit->variant->name, next);
        return store_exists(path);
    }
    for (size_t v = 0; v < settings->num_variants && past; v++)
        past = !still_reads_dense(settings, &settings->variants[v], next);
    return past;
}

// Whether curves are still to be measured that take the layer's Hessian of the dense stream.
static bool curves_need_hessian(const struct settings *settings, size_t layer)
{
    char path[PATH_SIZE];
    for (size_t v = 0; v < settings->num_variants; v++) {
        curves_path(path, settings, &settings->variants[v], layer);
        if (curves_are_solved(&settings->variants[v]) && sealed_json_read(NULL, path, NULL) != STATUS_OK)
            return true;
    }
    return false;
}

bool hessian_is_needed(const struct settings *settings, const struct variant *variant, size_t layer)
{
    const bool dense = settings->propagation == PROPAGATION_DENSE;
    char path[PATH_SIZE];
    if ((dense || variant == NULL) && curves_need_hessian(settings, layer))
        return true;
    if (!dense && variant != NULL && variant->base != NULL) {
        run_layer_path(path, settings->run, RUN_MASKS, variant->name, layer);
        return (method_needs(variant->method) & NEEDS_HESSIAN) != 0 && !store_exists(path);
    }
    for (size_t v = 0; v < settings->num_variants; v++) {
        const struct variant *other = &settings->variants[v];
        if (!(method_needs(other->method) & NEEDS_HESSIAN) || (!dense && other != variant))
            continue;
        run_layer_path(path, settings->run, RUN_MASKS, other->name, layer);
        if (!store_exists(path))
            return true;
    }
    return false;
}

static bool proof_is_there(const char *path, const struct unit *unit, const struct run_record *record,
                           struct error *why)
{
    char identity[40];
    switch (stage_row(unit->stage)->proof) {
    case PROOF_STORE:
        return store_exists(path);
    case PROOF_JSON:
        // Small: a damaged one is as good as none.
        return store_exists(path) && sealed_json_read(NULL, path, why) == STATUS_OK;
    case PROOF_FOLDER:
        run_record_variant(identity, sizeof identity, record, unit->variant->name);
        return export_state_of(path, identity, why) == EXPORT_DONE;
    }
    return false;
}

// Whether anybody asks for the unit still, its own proof apart.
enum demand {
    IS_ASKED_FOR,
    WAS_USED,      // of an attempt whose verdict is there
    IS_NOT_NEEDED, // and never was
};

static enum demand demand_of(const struct unit *unit, const struct settings *settings)
{
    struct budget_trials search;

    if (!variant_is_searched(unit->variant) || unit->stage == STAGE_CURVES)
        return IS_ASKED_FOR;
    if (unit->variant->base == NULL)
        return unit->stage != STAGE_ATTEMPT && budget_is_broken(settings, unit->variant) ? IS_NOT_NEEDED
                                                                                         : IS_ASKED_FOR;
    budget_trials_read(&search, settings, unit->variant, unit->variant->attempt);
    if (search.count == unit->variant->attempt)
        return WAS_USED;
    return budget_is_over(&search) ? IS_NOT_NEEDED : IS_ASKED_FOR;
}

bool unit_is_not_needed(const struct unit *unit, const struct settings *settings)
{
    return demand_of(unit, settings) == IS_NOT_NEEDED;
}

bool unit_look(const struct unit *unit, const struct settings *settings, const struct run_record *record,
               struct error *why)
{
    char path[PATH_SIZE];
    if (demand_of(unit, settings) != IS_ASKED_FOR)
        return true;
    const char *output = unit->stage == STAGE_EXPORT ? outputs_newest(record->json, unit->variant) : NULL;
    unit_path(path, unit, settings);
    if (output != NULL) // an earlier job's may be elsewhere
        path_format(path, sizeof path, "%s", output);
    const bool is_there = proof_is_there(path, unit, record, why);

    if (unit->stage == STAGE_COMPENSATE)
        return weights_are_done(settings, unit->variant, layer_of(unit));
    if (unit->stage == STAGE_PROPAGATE)
        return is_there || is_past(unit, settings);
    if (unit->stage == STAGE_CALIBRATE && is_there &&
        hessian_is_needed(settings, unit->variant, layer_of(unit))) {
        // Statistics of an earlier job may be there without the Hessian that this one asks for.
        hessian_path(path, settings, stream_name(settings, unit->variant), layer_of(unit));
        return store_exists(path);
    }
    return is_there;
}

bool unit_is_done(const struct unit *unit, const struct settings *settings, const struct run_record *record)
{
    return unit_look(unit, settings, record, NULL);
}

void unit_parts_path(char path[PATH_SIZE], const struct unit *unit, const struct settings *settings)
{
    run_parts_path(path, settings->run, variant_name(unit->variant),
                   unit->stage == STAGE_TASKS ? "task-" : "text-", unit_task_name(unit, settings));
}

double unit_share(const struct unit *unit, const struct settings *settings, const struct run_record *record)
{
    char path[PATH_SIZE];

    if (unit_is_done(unit, settings, record))
        return 1;
    if (unit->stage != STAGE_EVALUATE && unit->stage != STAGE_TASKS)
        return 0;
    unit_parts_path(path, unit, settings);
    // All may be kept, and the result not written.
    return fmin(parts_share(path), nextafter(1, 0));
}
