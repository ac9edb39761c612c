#include "pipeline/run/unit_work.h"

#include "io/file/run_paths.h"
#include "pipeline/job/json.h"
#include "pipeline/record/allocation_json.h"
#include "pipeline/record/compensation_record.h"
#include "pipeline/record/task_results.h"
#include "pipeline/run/states.h"
#include "pipeline/text/json_memory.h"
#include "stages/compensate/compensate.h"
#include "stages/export/export.h"
#include "stages/layer/calibrate.h"
#include "stages/layer/hessian.h"
#include "stages/layer/sequences.h"
#include "stages/prune/allocation.h"
#include "stages/prune/prune.h"

#include <string.h>
#include <unistd.h>

static enum status carry_out_calibrate(struct runner *runner, const struct unit *unit, struct error *err)
{
    const size_t layer = (size_t)unit->layer;
    // The dense stream's statistics; with pruned propagation a variant's are followed by its own outputs.
    const bool dense = runner->settings->propagation == PROPAGATION_DENSE || unit->variant == NULL;
    const bool output = dense && layer + 1 < runner->model->config.num_hidden_layers;
    const char *stream = stream_name(runner->settings, unit->variant);

    // Rank 0 looks at the file system.
    uint8_t hessian = runner->team->rank == 0 && hessian_is_needed(runner->settings, unit->variant, layer);
    FORWARD_IF_ERROR(team_broadcast(runner->team, &hessian, 1, 0, err));
    FORWARD_IF_ERROR(states_ensure(runner, dense ? NULL : unit->variant, layer, err));
    FORWARD_IF_ERROR(
        calibrate_layer(&runner->stage, &runner->weights, stream, layer, hessian != 0, output, err));
    if (output)
        states_trim(runner, NULL, layer + 1);
    return STATUS_OK;
}

static enum status carry_out_compensate(struct runner *runner, const struct unit *unit, struct error *err)
{
    const struct variant *variant = unit->variant;
    const size_t layer = (size_t)unit->layer;

    if (variant_matches(variant))
        FORWARD_IF_ERROR(states_ensure(runner, NULL, layer, err));
    if (variant_measures(variant))
        FORWARD_IF_ERROR(states_ensure(runner, stream_owner(runner->settings, variant), layer, err));
    FORWARD_IF_ERROR(compensate_layer(&runner->stage, &runner->weights, variant, layer, err));
    if (variant_matches(variant))
        states_trim_behind(runner, NULL, layer);
    if (variant_measures(variant))
        states_trim_behind(runner, stream_owner(runner->settings, variant), layer);
    return STATUS_OK;
}

// Rank 0, when the variant's last result is about to be written: weights that nobody asked to keep go, and
// what their files say of the compensation stays. A kill before the result is written leaves nothing behind;
// they are made again from the masks.
static enum status drop_weights(const struct runner *runner, const struct unit *unit, struct error *err)
{
    const struct settings *settings = runner->settings;
    const size_t layers = runner->model->config.num_hidden_layers;
    struct unit weights = {.stage = STAGE_COMPENSATE, .variant = unit->variant};
    char path[PATH_SIZE];

    if (unit->variant == NULL || settings->keep_weights || !weights_are_written(settings, unit->variant) ||
        !results_are_done(settings, unit->variant, unit))
        return STATUS_OK;
    FORWARD_IF_ERROR(compensation_record_write(settings, unit->variant, layers, err));
    for (size_t layer = 0; layer < layers; layer++) {
        weights.layer = (long)layer;
        unit_path(path, &weights, settings);
        (void)unlink(path);
    }
    *strrchr(path, '/') = '\0';
    (void)rmdir(path);
    return STATUS_OK;
}

static enum status carry_out_evaluate(struct runner *runner, const struct unit *unit, struct error *err)
{
    struct perplexity result;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(evaluate_perplexity(&result, &runner->stage, &runner->weights, &runner->evaluation,
                                         unit->variant, err));
    unit_path(path, unit, runner->settings);
    if (runner->team->rank == 0)
        status = drop_weights(runner, unit, err);
    if (runner->team->rank == 0 && status == STATUS_OK)
        status = perplexity_write(&result, path, runner->settings, unit->variant, err);
    FORWARD_IF_ERROR(team_agree(runner->team, status, err));
    progress_message(&runner->progress, "%s: perplexity %.4f (length %zu, %llu windows)",
                     unit->variant != NULL ? unit->variant->name : "dense", result.perplexity,
                     (size_t)result.length, (unsigned long long)result.windows);
    return STATUS_OK;
}

static enum status carry_out_tasks(struct runner *runner, const struct unit *unit, struct error *err)
{
    const char *name = runner->settings->tasks[unit->task].name;
    struct task_result result;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(evaluate_task(&result, &runner->stage, &runner->weights, &runner->tasks, unit->task,
                                   unit->variant, err));
    unit_path(path, unit, runner->settings);
    if (runner->team->rank == 0)
        status = drop_weights(runner, unit, err);
    if (runner->team->rank == 0 && status == STATUS_OK)
        status = task_result_write(&result, path, runner->settings, unit->task, unit->variant, err);
    FORWARD_IF_ERROR(team_agree(runner->team, status, err));
    progress_message(&runner->progress, "%s: %s acc %.4f (%llu examples)",
                     unit->variant != NULL ? unit->variant->name : "dense", name, result.acc,
                     (unsigned long long)result.examples);
    return STATUS_OK;
}

static void add_perplexity(json_t *object, const char *key, const struct runner *runner,
                           const struct variant *variant)
{
    struct perplexity result;
    char path[PATH_SIZE];
    perplexity_path(path, runner->settings, variant);
    if (perplexity_read(&result, path, NULL) == STATUS_OK)
        json_object_set_new(object, key,
                            json_pack("{s:f, s:I, s:I}", "perplexity", result.perplexity, "length",
                                      (json_int_t)result.length, "windows", (json_int_t)result.windows));
}

static enum status carry_out_export(struct runner *runner, const struct unit *unit, struct error *err)
{
    char identity[40];
    json_t *provenance = NULL;

    run_record_variant(identity, sizeof identity, runner->record, unit->variant);
    if (runner->team->rank == 0) {
        json_t *job = settings_to_json(runner->settings), *results = json_object();
        json_object_del(job, "variants");
        add_perplexity(results, "dense", runner, NULL);
        add_perplexity(results, "pruned", runner, unit->variant);
        provenance = json_pack("{s:o, s:o, s:o, s:O?, s:o}", "versions", library_versions(), "job", job,
                               "variant", variant_to_json(unit->variant), "fingerprints",
                               json_object_get(runner->record->json, "fingerprints"), "perplexity", results);
        json_t *allocation = allocation_to_json(runner->settings, unit->variant, NULL);
        if (allocation != NULL)
            json_object_set_new(provenance, "allocation", allocation);
        if (runner->settings->num_tasks > 0)
            json_object_set_new(provenance, "tasks",
                                json_pack("{s:o, s:o}", "dense", tasks_to_json(runner->settings, NULL, NULL),
                                          "pruned", tasks_to_json(runner->settings, unit->variant, NULL)));
    }
    enum status status = team_agree(runner->team, json_memory_check("coppice.json", err), err);
    if (status == STATUS_OK)
        status = export_variant(&runner->stage, unit->variant, identity, provenance, err);
    json_decref(provenance);
    return status;
}

// sequences.h5 was found to be damaged.
static enum status carry_out_sequences(struct runner *runner, const struct unit *unit, struct error *err)
{
    struct sequences_draft draft;
    (void)unit;
    FORWARD_IF_ERROR(sequences_draw(&draft, &runner->stage, true, err));
    enum status status = sequences_commit(&draft, &runner->stage, err);
    sequences_draft_free(&draft);
    return status;
}

static enum status carry_out_outliers(struct runner *runner, const struct unit *unit, struct error *err)
{
    return outliers_layer(&runner->stage, &runner->weights, unit->variant, (size_t)unit->layer, err);
}

static enum status carry_out_propagate(struct runner *runner, const struct unit *unit, struct error *err)
{
    return states_ensure(runner, stream_owner(runner->settings, unit->variant), (size_t)unit->layer + 1, err);
}

// All units in hand.
static enum status carry_out_score(struct runner *runner, const struct unit *unit, struct error *err)
{
    const bool dense = runner->settings->propagation == PROPAGATION_DENSE;
    const size_t layer = (size_t)unit->layer;
    const struct variant *variants[SCORE_BATCH];
    for (size_t k = 0; k < runner->num_units; k++) {
        variants[k] = runner->units[k]->variant;
        if (variant_chooses(variants[k]))
            FORWARD_IF_ERROR(states_ensure(runner, dense ? NULL : variants[k], layer, err));
    }
    FORWARD_IF_ERROR(prune_layer(&runner->stage, &runner->weights, variants, runner->num_units, layer, err));
    for (size_t k = 0; k < runner->num_units; k++)
        if (variant_chooses(variants[k]))
            states_trim_behind(runner, dense ? NULL : variants[k], layer);
    states_trim_hessian(runner, unit);
    return STATUS_OK;
}

enum status unit_carry_out(struct runner *runner, const struct unit *unit, struct error *err)
{
    static enum status (*const carry_out[STAGE_COUNT])(struct runner *, const struct unit *,
                                                       struct error *) = {
#define CARRY_OUT(kind, name, ...) [STAGE_##kind] = carry_out_##name,
        STAGES(CARRY_OUT)
#undef CARRY_OUT
    };
    return carry_out[unit->stage](runner, unit, err);
}
