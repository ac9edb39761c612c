#include "pipeline/run/work/run.h"

#include "kernels/amount.h"
#include "pipeline/plan/carried.h"
#include "pipeline/plan/stages.h"
#include "pipeline/run/work/budget_work.h"
#include "pipeline/run/work/found.h"
#include "pipeline/run/work/repair.h"
#include "pipeline/run/work/result_work.h"
#include "pipeline/run/work/states.h"
#include "pipeline/run/work/teams.h"
#include "stages/layer/hidden_states.h"

#include <stdlib.h>

enum { REPAIRS = 16 }; // of damaged files that units found, in one start; more means a failing disk

// One team's part of a phase.
static enum status run_share(struct run_outcome *outcome, const struct run_context *context,
                             const struct test_data *data, const struct team_share *share,
                             struct run_hooks *hooks, struct error *err)
{
    struct layer_weights weights = {.loaded = SIZE_MAX};
    const struct unit_context work = {share->stage, &weights, data, context->record,
                                      &hooks->journal->progress};
    enum status status = layer_weights_create(&weights, share->stage, err);

    if (status == STATUS_OK)
        status = chains_run(outcome, share, &work, hooks, err);
    if (status != STATUS_OK && share->stage->team->count > 1 && share->stage->team->rank == 0)
        alarm_raise(hooks->alarm);
    layer_weights_free(&weights);
    return status;
}

// Whether the team's hidden states stay in memory between layers. Commands for single stages leave what the
// next one reads in the store. Collective.
static enum status decide_carrying(bool *carries, const struct run_context *context,
                                   const struct stage *stage, size_t phase, struct error *err)
{
    const size_t node_ranks = (size_t)context->world->node_size, ranks = (size_t)stage->team->size;
    struct capacity capacity;
    struct plan_cost cost;
    char text[32];

    *carries = false;
    if (context->settings->states_every == 0 || context->stages != stages_of_command("run") ||
        !plan_passes_sequences(context->plan, phase))
        return STATUS_OK;
    capacity_measure(&capacity, context->settings->run, NULL);
    const enum status status = plan_cost(&cost, context->plan, node_ranks, err);
    FORWARD_IF_ERROR(team_agree(stage->team, status, err));
    *carries = !team_any(stage->team, !states_fit(context->plan, &cost, ranks, node_ranks, &capacity));
    if (!*carries && stage->team->index == 0)
        stage_notice(
            stage,
            "careful: calibration.states_every has no effect: the hidden states need %s of each rank, "
            "and there is too little memory",
            amount_format((double)carried_bytes(context->model, context->settings, ranks), "B", text,
                          sizeof text));
    return STATUS_OK;
}

// Told to stop, and not at once: what is in memory alone goes to the store. Where that fails, it is computed
// again.
static void keep_states(const struct stage *stage, const struct run_hooks *hooks)
{
    struct error err = {0};
    if (stage->carried != NULL && !team_any(stage->team, stop_level(hooks->stop) > 1))
        (void)hidden_states_store(stage, &err);
}

static enum status run_phase(struct run_outcome *outcome, const struct run_context *context,
                             const struct test_data *data, size_t phase, struct run_hooks *hooks,
                             struct error *err)
{
    struct team team;
    enum status status = STATUS_OK;

    FORWARD_IF_ERROR(teams_form(&team, context, phase, test_data_windows(data), err));
    struct carried_states carried = {.stores_dense = dense_stream_is_kept(context->settings),
                                     .count = carried_streams(context->settings)};
    struct stage stage = {&team, context->model, context->settings, stage_hooks_of(hooks), NULL};
    const struct team_share share = {context->plan, context->record, &stage, phase, context->stages};
    journal_join_team(hooks->journal, &team, context->settings->run);
    hooks_begin_phase(hooks, &team);
    if (!team_is_idle(&team)) {
        bool carries;
        status = decide_carrying(&carries, context, &stage, phase, err);
        stage.carried = carries ? &carried : NULL;
        if (status == STATUS_OK)
            status = run_share(outcome, context, data, &share, hooks, err);
        if (status == STATUS_STOPPED)
            keep_states(&stage, hooks);
        carried_free(&carried);
    }
    hooks_end_phase(hooks, &team);
    journal_leave_team(hooks->journal, &team);
    team_free(&team);
    status = team_agree(context->world, status, err);
    alarm_settle(hooks->alarm);
    return status;
}

static enum status run_phases(struct run_outcome *outcome, const struct run_context *context,
                              const struct test_data *data, struct run_hooks *hooks, struct error *err)
{
    for (size_t phase = 0; phase < context->plan->num_phases; phase++)
        FORWARD_IF_ERROR(run_phase(outcome, context, data, phase, hooks, err));
    return STATUS_OK;
}

// Collective over the world, after STATUS_DAMAGED, which err describes. Each rank looks at what the units
// that it had in hand read. False when nothing was removed: the error stands.
static bool mend(const struct run_context *context, const struct unit_batch *batch, struct journal *journal,
                 const struct error *err)
{
    const size_t layers = context->model->config.num_hidden_layers;
    const size_t removed = repair_inputs(batch->units, batch->count, context->settings, layers);

    if (!team_any(context->world, removed > 0))
        return false;
    progress_message(&journal->progress, "%s; it will be made again", err->message);
    progress_again(&journal->progress);
    (void)log_event(journal->log, NULL, "damaged", "{s:s}", "message", err->message);
    return true;
}

// A removal is not waited for: what the disk has not removed yet when the power is lost is there again.
static void sweep(const struct run_context *context, const struct stage *world)
{
    states_sweep(world);
    budget_sweep(world);
    for (size_t i = 0; i < context->plan->num_units; i++)
        result_sweep(world, &context->plan->units[i], context->record);
}

enum status run_carry_out(struct run_outcome *outcome, const struct run_context *context,
                          const struct test_data *data, struct journal *journal, struct error *err)
{
    const struct options *options = context->options;
    const struct stage world = {context->world, context->model, context->settings, {0}, NULL};
    struct alarm alarm = {0}; // a team that fails ends the others, too
    struct reports reports = {0};
    struct run_hooks hooks = {.stop = context->stop,
                              .alarm = &alarm,
                              .reports = &reports,
                              .journal = journal,
                              .grace = stop_grace(options->max_time, options->margin)};
    double *share = NULL;
    enum status status;

    if (!options->no_check)
        FORWARD_IF_ERROR(repair_found(context, journal, err));
    FORWARD_IF_ERROR(alarm_create(&alarm, context->world, err));
    status = allocate(&share, context->plan->num_units, sizeof *share, "what is done already", err);
    GOTO_IF_ERROR(team_agree(context->world, status, err), done);
    hooks.share = share;
    GOTO_IF_ERROR(reports_create(&reports, context->world, err), done);
    for (int repair = 0;; repair++) {
        GOTO_IF_ERROR(found_count(share, context, journal, err), done);
        status = run_phases(outcome, context, data, &hooks, err);
        if (status != STATUS_DAMAGED || options->strict || repair == REPAIRS ||
            !mend(context, &outcome->batch, journal, err))
            break;
        *err = (struct error){0};
    }
    if (status == STATUS_OK)
        sweep(context, &world);
done:
    free(share);
    reports_free(&reports);
    alarm_free(&alarm);
    return status;
}
