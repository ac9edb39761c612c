#include "pipeline/run/runner.h"

#include "pipeline/plan/record.h"
#include "stages/layer/sequences.h"

#include <stdlib.h>

// Whether there is something to evaluate, as rank 0 sees it.
static bool evaluates(const struct runner *runner)
{
    bool any = false;
    for (size_t i = 0; i < runner->plan->num_units && runner->world->rank == 0 && !any; i++) {
        const struct unit *unit = &runner->plan->units[i];
        any = unit->stage == STAGE_EVALUATE &&
              (runner->record->is_first || (runner->stages & 1U << STAGE_EVALUATE &&
                                            !unit_is_done(unit, runner->settings, runner->record)));
    }
    return team_any(runner->world, any);
}

// Reads the tasks that some model is still to be measured on; at the first start all, so that a bad file is
// refused before any work.
static enum status prepare_tasks(struct runner *runner, const struct stage *stage, struct error *err)
{
    const struct settings *settings = runner->settings;
    bool *wanted = NULL, any = false;
    enum status status = allocate(&wanted, settings->num_tasks, sizeof *wanted, "the tasks", err);

    GOTO_IF_ERROR(team_agree(runner->world, status, err), done);
    for (size_t i = 0; i < runner->plan->num_units && runner->world->rank == 0; i++) {
        const struct unit *unit = &runner->plan->units[i];
        if (unit->stage == STAGE_TASKS && !wanted[unit->task])
            wanted[unit->task] = runner->record->is_first || (runner->stages & 1U << STAGE_TASKS &&
                                                              !unit_is_done(unit, settings, runner->record));
    }
    GOTO_IF_ERROR(team_broadcast(runner->world, wanted, settings->num_tasks * sizeof *wanted, 0, err), done);
    for (size_t i = 0; i < settings->num_tasks; i++)
        any = any || wanted[i];
    if (any)
        status = task_set_create(&runner->tasks, stage, wanted, err);
done:
    free(wanted);
    return status;
}

enum status runner_prepare(struct runner *runner, struct error *err)
{
    const struct stage stage = {runner->world, runner->model, runner->settings, {NULL, NULL, NULL, NULL}};
    struct sequences_draft draft = {0};
    enum status status = STATUS_OK;

    GOTO_IF_ERROR(check_outer_tensors(&stage, err), done);
    if (runner->stages & 1U << STAGE_SEQUENCES)
        GOTO_IF_ERROR(sequences_draw(&draft, &stage, runner->record->is_first, err), done);
    if (evaluates(runner))
        GOTO_IF_ERROR(evaluation_windows_create(&runner->evaluation, &stage, err), done);
    if (runner->settings->num_tasks > 0)
        GOTO_IF_ERROR(prepare_tasks(runner, &stage, err), done);
    GOTO_IF_ERROR(run_record_commit(runner->record, runner->world, runner->settings, err), done);
    if (runner->world->rank == 0)
        status = plan_record_write(runner->record, runner->model, runner->settings, err);
    GOTO_IF_ERROR(team_agree(runner->world, status, err), done);
    status = sequences_commit(&draft, &stage, err);
done:
    sequences_draft_free(&draft);
    return status;
}
