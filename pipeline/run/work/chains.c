#include "pipeline/run/work/chains.h"

#include <stdlib.h>

static void show_unit(struct progress *progress, const struct unit *unit, size_t layers)
{
    progress_unit(progress, stage_name(unit->stage), unit->variant != NULL ? unit->variant->name : NULL,
                  unit->layer >= 0 ? (size_t)unit->layer : 0, unit->layer >= 0 ? layers : 0);
}

static void log_batch(const struct unit_batch *batch, const struct journal *journal,
                      const struct stage *stage, const char *event, const struct unit_spent *spent)
{
    for (size_t k = 0; k < batch->count; k++)
        journal_unit(journal, stage->team, stage->settings, batch->units[k], event, spent);
}

// Each unit of the batch is logged with an equal share of the time. The work of one that was there at the
// start, and is made again all the same, was counted then.
static enum status run_batch(const struct unit_batch *batch, const struct plan *plan,
                             const struct unit_context *context, struct run_hooks *hooks, struct error *err)
{
    const struct stage *stage = context->stage;
    double work = 0, ahead = 0;

    hooks->unit_started = stop_clock();
    if (team_any(stage->team, hooks_are_stopped(hooks)))
        RETURN_ERROR(err, STATUS_STOPPED, "told to stop");
    show_unit(&hooks->journal->progress, batch->units[0], stage->model->config.num_hidden_layers);
    for (size_t k = 0; k < batch->count; k++) {
        const double share = hooks->share[batch->units[k] - plan->units];
        work += (1 - share) * batch->units[k]->work;
        ahead += share < 1 ? share * batch->units[k]->work : 0;
    }
    hooks_begin_unit(hooks, work, ahead);
    log_batch(batch, hooks->journal, stage, "begin", &(struct unit_spent){0});
    FORWARD_IF_ERROR(unit_carry_out(context, batch, err));
    hooks_end_unit(hooks);
    const struct unit_spent each = {(stop_clock() - hooks->unit_started) / (double)batch->count,
                                    hooks->unit_counted / (double)batch->count,
                                    hooks->unit_skipped / (double)batch->count};
    log_batch(batch, hooks->journal, stage, "unit", &each);
    return STATUS_OK;
}

enum status chains_run(struct run_outcome *outcome, const struct team_share *share,
                       const struct unit_context *context, struct run_hooks *hooks, struct error *err)
{
    const struct plan *plan = share->plan;
    const struct team *team = share->stage->team;
    size_t blocked = SIZE_MAX; // a chain that cannot go on
    bool *taken = NULL;
    enum status status = allocate(&taken, plan->num_units, sizeof *taken, "what is done already", err);

    GOTO_IF_ERROR(team_agree(team, status, err), done);
    for (size_t i = 0; i < plan->num_units; i++) {
        const struct unit *unit = &plan->units[i];
        enum verdict verdict;
        if (!share_has(share, unit) || unit->chain == blocked || taken[i])
            continue;
        GOTO_IF_ERROR(judge_unit(&verdict, outcome->waiting, share, unit, err), done);
        if (verdict == UNIT_DONE) {
            outcome->units_found++;
            if (hooks->share[i] < 1)
                hooks_found_unit(hooks, (1 - hooks->share[i]) * unit->work);
        } else if (verdict == UNIT_WAITS) {
            blocked = unit->chain;
        } else {
            GOTO_IF_ERROR(batch_take(&outcome->batch, taken, share, i, err), done);
            GOTO_IF_ERROR(run_batch(&outcome->batch, plan, context, hooks, err), done);
            outcome->units_done += outcome->batch.count;
        }
    }
done:
    free(taken);
    return status;
}
