#include "pipeline/run/work/team_share.h"

#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "pipeline/plan/unit_input.h"

#include <stdio.h>

static bool some_share_has(const struct team_share *share, const struct unit *unit)
{
    return unit->phase == share->phase && (share->stages & 1U << unit->stage) != 0;
}

bool share_has(const struct team_share *share, const struct unit *unit)
{
    const struct team *team = share->stage->team;
    return some_share_has(share, unit) && (int)(unit->chain % (size_t)team->count) == team->index;
}

// Whether every committed file that the unit reads is there; else says what is missing.
static bool is_ready(const struct unit *unit, const struct stage *stage, char *waiting)
{
    char path[PATH_SIZE];
    const size_t layers = stage->model->config.num_hidden_layers;
    for (size_t i = 0; unit_input(path, unit, stage->settings, layers, i); i++)
        if (!store_exists(path)) {
            snprintf(waiting, WAITING_SIZE, "%s waits for %.400s", stage_name(unit->stage), path);
            return false;
        }
    return true;
}

enum status judge_unit(enum verdict *verdict, char *waiting, const struct team_share *share,
                       const struct unit *unit, struct error *err)
{
    const struct stage *stage = share->stage;
    uint8_t seen = UNIT_TODO;

    if (stage->team->rank == 0) {
        if (unit_is_done(unit, stage->settings, share->record))
            seen = UNIT_DONE;
        else if (!is_ready(unit, stage, waiting))
            seen = UNIT_WAITS;
    }
    FORWARD_IF_ERROR(team_broadcast(stage->team, &seen, 1, 0, err));
    *verdict = (enum verdict)seen;
    return STATUS_OK;
}

static bool may_join(const struct team_share *share, const struct unit *first, const struct unit *unit)
{
    return share_has(share, unit) && unit->stage == STAGE_SCORE && unit->chain == first->chain &&
           unit->layer == first->layer && variants_share_scores(unit->variant, first->variant);
}

enum status batch_take(struct unit_batch *batch, bool *taken, const struct team_share *share, size_t first,
                       struct error *err)
{
    const struct unit *units = share->plan->units;
    char waiting[WAITING_SIZE]; // this one is tried again at its own turn, and then says so

    batch->units[0] = &units[first];
    batch->count = 1;
    if (units[first].stage != STAGE_SCORE)
        return STATUS_OK;
    for (size_t i = first + 1; i < share->plan->num_units && batch->count < SCORE_BATCH; i++) {
        enum verdict verdict;
        if (taken[i] || !may_join(share, &units[first], &units[i]))
            continue;
        FORWARD_IF_ERROR(judge_unit(&verdict, waiting, share, &units[i], err));
        if (verdict == UNIT_TODO) {
            taken[i] = true;
            batch->units[batch->count++] = &units[i];
        }
    }
    return STATUS_OK;
}
