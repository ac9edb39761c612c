#include "pipeline/status/rates.h"

#include <string.h>

// Only the newest units of each stage count: a run may have gone on elsewhere, with other ranks.
enum { NEWEST = 64 };

// A unit of more than so many times the work of those that were measured is not like them.
static const double alike = 8;

const struct unit *rates_unit(const struct plan *plan, const struct history_unit *event)
{
    for (size_t i = 0; i < plan->num_units; i++) {
        const struct unit *unit = &plan->units[i];
        const char *task = unit_task_name(unit, plan->settings);
        if (strcmp(task != NULL ? task : "", event->task) != 0)
            continue;
        if (unit->layer == event->layer && strcmp(stage_name(unit->stage), event->stage) == 0 &&
            strcmp(unit_variant_name(unit), event->variant) == 0)
            return unit;
    }
    return NULL;
}

void rates_measure(struct rates *rates, const struct history *history, const struct plan *plan,
                   const struct plan *earlier)
{
    double work[STAGE_COUNT] = {0}, seconds[STAGE_COUNT] = {0};
    double all_work = 0, all_seconds = 0, forward_work = 0, forward_seconds = 0;
    size_t counts[STAGE_COUNT] = {0};

    memset(rates, 0, sizeof *rates);
    for (size_t i = history->num_units; i-- > 0;) {
        const struct history_unit *event = &history->units[i];
        enum stage_kind stage;
        if (!stage_find(&stage, event->stage) || counts[stage] == NEWEST || !(event->seconds > 0))
            continue;
        const struct unit *unit = rates_unit(plan, event);
        unit = unit != NULL ? unit : rates_unit(earlier, event);
        const double worked = unit != NULL ? unit->work - event->skipped : 0;
        if (unit == NULL || (event->skipped > 0 && worked <= 0))
            continue;
        counts[stage]++;
        work[unit->stage] += worked;
        seconds[unit->stage] += event->seconds * (double)event->team_ranks;
    }
    for (int s = 0; s < STAGE_COUNT; s++) {
        all_work += work[s];
        all_seconds += seconds[s];
        if (stage_is_forward((enum stage_kind)s)) {
            forward_work += work[s];
            forward_seconds += seconds[s];
        }
        rates->of_stage[s] = seconds[s] > 0 ? work[s] / seconds[s] : 0;
        rates->mean_work[s] = counts[s] > 0 ? work[s] / (double)counts[s] : 0;
    }
    rates->forward = forward_seconds > 0 ? forward_work / forward_seconds : 0;
    rates->any = all_seconds > 0 ? all_work / all_seconds : 0;
}

double rates_of(const struct rates *rates, const struct unit *unit)
{
    const enum stage_kind stage = unit->stage;

    if (rates->of_stage[stage] > 0 && unit->work <= alike * rates->mean_work[stage])
        return rates->of_stage[stage];
    if (stage_is_forward(stage) && rates->forward > 0)
        return rates->forward;
    return rates->any;
}

double rates_seconds(const struct rates *rates, const struct plan *plan, unsigned stages, const double *share)
{
    double seconds = 0;

    for (size_t i = 0; i < plan->num_units && rates->any > 0; i++) {
        const struct unit *unit = &plan->units[i];
        if ((stages & 1U << unit->stage) != 0 && (share == NULL || share[i] < 1))
            seconds += (share != NULL ? 1 - share[i] : 1) * unit->work / rates_of(rates, unit);
    }
    return seconds;
}
