#include "pipeline/run/work/result_work.h"

#include "io/file/fence.h"
#include "io/file/run_paths.h"
#include "pipeline/record/results/compensation_record.h"
#include "stages/evaluate/parts.h"
#include "stages/stage.h"

#include <string.h>
#include <unistd.h>

static void remove_weights(const struct settings *settings, const struct variant *variant, size_t layers)
{
    struct unit weights = {.stage = STAGE_COMPENSATE, .variant = variant};
    char path[PATH_SIZE];

    for (size_t layer = 0; layer < layers; layer++) {
        weights.layer = (long)layer;
        unit_path(path, &weights, settings);
        (void)unlink(path);
    }
    run_subfolder_path(path, settings->run, RUN_WEIGHTS, variant->name);
    (void)rmdir(path);
}

// Rank 0, before the variant's last result is written: removes weights that the job does not keep, after what
// their files say of the compensation was put on record. When the program is killed before the result is
// written, nothing is lost: the weights are made again from the masks.
static enum status drop_weights(const struct stage *stage, const struct unit *unit, struct error *err)
{
    const struct settings *settings = stage->settings;
    const size_t layers = stage->model->config.num_hidden_layers;

    if (unit->variant == NULL || settings->keep_weights || !weights_are_written(settings, unit->variant) ||
        !results_are_done(settings, unit->variant, unit))
        return STATUS_OK;
    FORWARD_IF_ERROR(fence_check(err));
    FORWARD_IF_ERROR(compensation_record_write(settings, unit->variant, layers, err));
    remove_weights(settings, unit->variant, layers);
    return STATUS_OK;
}

// What was kept of a result in the making, when it is committed.
static void remove_parts(const struct settings *settings, const struct unit *unit)
{
    char folder[PATH_SIZE];

    unit_parts_path(folder, unit, settings);
    parts_remove(folder);
    *strrchr(folder, '/') = '\0';
    (void)rmdir(folder);
}

enum status evaluate_model(const struct stage *stage, struct layer_weights *weights,
                           const struct test_data *data, const struct unit *unit, struct progress *progress,
                           struct error *err)
{
    struct perplexity result;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(
        evaluate_perplexity(&result, stage, weights, &data->texts[unit->task], unit->variant, err));
    unit_path(path, unit, stage->settings);
    if (stage->team->rank == 0)
        status = drop_weights(stage, unit, err);
    if (stage->team->rank == 0 && status == STATUS_OK)
        status = perplexity_write(&result, data->texts[unit->task].nll, path, stage->settings, unit->task,
                                  unit->variant, err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    if (stage->team->rank == 0)
        remove_parts(stage->settings, unit);
    const char *text = unit_task_name(unit, stage->settings);
    progress_message(progress, "%s: perplexity%s%s %.4f (length %zu, %llu windows)", unit_variant_name(unit),
                     text != NULL ? " on " : "", text != NULL ? text : "", result.perplexity,
                     (size_t)result.length, (unsigned long long)result.windows);
    return STATUS_OK;
}

enum status evaluate_on_task(const struct stage *stage, struct layer_weights *weights,
                             const struct test_data *data, const struct unit *unit, struct progress *progress,
                             struct error *err)
{
    const char *name = stage->settings->tasks[unit->task].name;
    struct task_result result;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(evaluate_task(&result, stage, weights, &data->tasks, unit->task, unit->variant, err));
    unit_path(path, unit, stage->settings);
    if (stage->team->rank == 0)
        status = drop_weights(stage, unit, err);
    if (stage->team->rank == 0 && status == STATUS_OK)
        status = task_result_write(&result, path, stage->settings, unit->task, unit->variant, err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    if (stage->team->rank == 0)
        remove_parts(stage->settings, unit);
    progress_message(progress, "%s: %s acc %.4f (%llu examples)", unit_variant_name(unit), name, result.acc,
                     (unsigned long long)result.examples);
    return STATUS_OK;
}

void result_sweep(const struct stage *stage, const struct unit *unit, const struct run_record *record)
{
    const struct settings *settings = stage->settings;
    char path[PATH_SIZE];

    if (stage->team->rank != 0 || (unit->stage != STAGE_EVALUATE && unit->stage != STAGE_TASKS))
        return;
    unit_parts_path(path, unit, settings);
    if (access(path, F_OK) == 0 && unit_is_done(unit, settings, record))
        remove_parts(settings, unit);
    if (unit->variant == NULL || settings->keep_weights || !weights_are_written(settings, unit->variant))
        return;
    run_subfolder_path(path, settings->run, RUN_WEIGHTS, unit->variant->name);
    if (access(path, F_OK) == 0 && results_are_done(settings, unit->variant, NULL))
        remove_weights(settings, unit->variant, stage->model->config.num_hidden_layers);
}
