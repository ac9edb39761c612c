#include "pipeline/status/look.h"

#include "pipeline/record/log.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

bool look_is_process(const struct lock_holder *holder, const char *process)
{
    char name[LOG_PROCESS_SIZE];
    snprintf(name, sizeof name, "%s:%ld", holder->identity.host, holder->identity.pid);
    return strcmp(name, process) == 0;
}

const struct history_start *look_start_of(const struct history *history, const struct lock_holder *holder)
{
    for (size_t i = history->num_starts; i-- > 0;)
        if (look_is_process(holder, history->starts[i].process))
            return history->starts[i].end > 0 ? NULL : &history->starts[i];
    return NULL;
}

static void count_ranks(struct look *look)
{
    const struct history *history = &look->history;

    look->ranks = 0;
    for (size_t i = 0; i < look->holders.count; i++) {
        const struct lock_holder *holder = &look->holders.items[i];
        if (holder->state != HOLDER_WORKS)
            continue;
        const struct history_start *start = look_start_of(history, holder);
        look->works = true;
        look->ranks += start != NULL ? start->ranks : 0;
    }
    if (look->ranks == 0 && history->num_starts > 0)
        look->ranks = history->starts[history->num_starts - 1].ranks;
}

// Seconds of one rank that count as done of a unit in hand: those that have passed, beyond the share that it
// is known to have kept. Nobody knows how far it really is.
static double in_hand(const struct look *look, const struct history_unit *event, double seconds, double share)
{
    static const double most = 0.95;
    const double spent = fmin((look->now - event->time) * (double)event->team_ranks, most * seconds);
    return fmax(spent - share * seconds, 0);
}

// The time left: seconds of one rank that the units to do would take, over all ranks.
static void estimate(struct look *look)
{
    const struct plan *plan = &look->view.plan;
    const unsigned every = stages_of_command("run");

    look->fraction = plan->work > 0 ? look->work_done / plan->work : 0;
    look->seconds_left = look->num_done == plan->num_units ? 0 : -1;
    look->fraction = look->seconds_left == 0 ? 1 : look->fraction;
    if (look->seconds_left == 0 || look->rates.any <= 0 || look->ranks == 0)
        return;
    const double all = rates_seconds(&look->rates, plan, every, NULL);
    double seconds = rates_seconds(&look->rates, plan, every, look->share);
    for (size_t i = 0; i < look->history.num_begun && look->works; i++) {
        const struct history_unit *event = &look->history.begun[i];
        const struct unit *unit = rates_unit(plan, event);
        const double share = unit != NULL ? look->share[unit - plan->units] : 1;
        if (share < 1)
            seconds -= in_hand(look, event, unit->work / rates_of(&look->rates, unit), share);
    }
    look->seconds_left = seconds / (double)look->ranks;
    look->fraction = 1 - seconds / all;
}

void look_free(struct look *look)
{
    free(look->share);
    free(look->share_earlier);
    holders_free(&look->holders);
    history_free(&look->history);
    run_view_close(&look->view);
}

enum status look_at(struct look *look, const char *run, struct error *err)
{
    struct timespec now;
    const struct plan *plan = &look->view.plan, *earlier = &look->view.earlier;

    memset(look, 0, sizeof *look);
    look->run = run;
    FORWARD_IF_ERROR(run_view_open(&look->view, run, err));
    FORWARD_IF_ERROR(holders_read(&look->holders, run, err));
    FORWARD_IF_ERROR(history_read(&look->history, run, err));
    FORWARD_IF_ERROR(allocate(&look->share, plan->num_units + 1, sizeof *look->share, "the status", err));
    FORWARD_IF_ERROR(allocate(&look->share_earlier, earlier->num_units + 1, sizeof *look->share_earlier,
                              "the status", err));
    clock_gettime(CLOCK_REALTIME, &now);
    look->now = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    for (size_t i = 0; i < plan->num_units; i++) {
        look->share[i] = unit_share(&plan->units[i], plan->settings, &look->view.record);
        look->num_done += look->share[i] >= 1;
        look->work_done += look->share[i] * plan->units[i].work;
    }
    for (size_t i = 0; i < earlier->num_units; i++)
        look->share_earlier[i] = unit_share(&earlier->units[i], earlier->settings, &look->view.record);
    rates_measure(&look->rates, &look->history, plan, earlier);
    count_ranks(look);
    estimate(look);
    return STATUS_OK;
}

bool look_is_asked(const struct look *look, const struct variant *variant)
{
    return variant == NULL || variant < look->view.settings->variants + look->view.asked.num_variants;
}

void look_tally(struct tally tallies[STAGE_COUNT], const struct look *look, const struct variant *variant)
{
    const bool is_asked = look_is_asked(look, variant);
    const struct plan *plan = is_asked ? &look->view.plan : &look->view.earlier;
    const double *share = is_asked ? look->share : look->share_earlier;
    for (size_t i = 0; i < plan->num_units; i++) {
        const struct unit *unit = &plan->units[i];
        if (variant_base(unit->variant) != variant)
            continue;
        struct tally *tally = &tallies[unit->stage];
        tally->all++;
        tally->done += share[i] >= 1;
        tally->not_needed += share[i] >= 1 && unit_is_not_needed(unit, plan->settings);
    }
}
