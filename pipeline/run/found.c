#include "pipeline/run/found.h"

#include "pipeline/status/rates.h"

#include <string.h>

// Whoever is told to stop meanwhile leaves the rest: it counts when its turn comes.
static double look(uint8_t *found, const struct run_context *context)
{
    double work = 0;

    memset(found, 0, context->plan->num_units);
    for (size_t i = 0; i < context->plan->num_units && stop_level(context->stop) == 0; i++) {
        const struct unit *unit = &context->plan->units[i];
        found[i] = (context->stages & 1U << unit->stage) != 0 &&
                   unit_is_done(unit, context->settings, context->record);
        work += found[i] ? unit->work : 0;
    }
    return work;
}

// Seconds that the rest takes all ranks, as fast as this run was so far; 0: it has not begun, or it cannot be
// told.
static double expect(const uint8_t *found, const struct run_context *context)
{
    static const struct plan nothing;
    struct history history;
    struct rates rates;

    if (history_read(&history, context->settings->run, NULL) != STATUS_OK)
        return 0;
    rates_measure(&rates, &history, context->plan, &nothing);
    history_free(&history);
    return rates_seconds(&rates, context->plan, context->stages, found) / context->world->size;
}

enum status found_count(uint8_t *found, const struct run_context *context, struct journal *journal,
                        struct error *err)
{
    if (context->world->rank == 0) {
        progress_skip(&journal->progress, look(found, context));
        progress_expect(&journal->progress, expect(found, context));
    }
    return team_broadcast(context->world, found, context->plan->num_units, 0, err);
}
