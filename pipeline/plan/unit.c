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

// Whether nobody asks for the unit any more, its own proof apart.
static bool is_spared(const struct unit *unit, const struct settings *settings)
{
    struct budget_trials search;

    if (!variant_is_searched(unit->variant) || unit->stage == STAGE_CURVES)
        return false;
    if (unit->variant->base == NULL)
        return unit->stage != STAGE_ATTEMPT && budget_is_broken(settings, unit->variant);
    budget_trials_read(&search, settings, unit->variant, unit->variant->attempt);
    return search.count == unit->variant->attempt || budget_is_over(&search);
}

bool unit_look(const struct unit *unit, const struct settings *settings, const struct run_record *record,
               struct error *why)
{
    char path[PATH_SIZE];
    if (is_spared(unit, settings))
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

// ---- what each stage reads ------------------------------------------------------------------------------

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
    hessian_path(path, settings, DENSE_NAME, layer_of(unit));
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
        hessian_path(path, settings, stream_name(settings, variant), layer_of(unit));
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
