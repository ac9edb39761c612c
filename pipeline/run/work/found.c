#include "pipeline/run/work/found.h"

#include "pipeline/status/rates.h"

#include <string.h>

// Whoever is told to stop meanwhile leaves the rest: it counts when its turn comes.
static double look(double *share, const struct run_context *context)
{
    double work = 0;

    memset(share, 0, context->plan->num_units * sizeof *share);
    for (size_t i = 0; i < context->plan->num_units && stop_level(context->stop) == 0; i++) {
        const struct unit *unit = &context->plan->units[i];
        if ((context->stages & 1U << unit->stage) != 0)
            share[i] = unit_share(unit, context->settings, context->record);
        work += share[i] * unit->work;
    }
    return work;
}

// Seconds that the rest takes all ranks, as fast as this run was so far; 0: it has not begun, or it cannot be
// told.
static double expect(const double *share, const struct run_context *context)
{
    static const struct plan nothing;
    struct history history;
    struct rates rates;

    if (history_read(&history, context->settings->run, NULL) != STATUS_OK)
        return 0;
    rates_measure(&rates, &history, context->plan, &nothing);
    history_free(&history);
    return rates_seconds(&rates, context->plan, context->stages, share) / context->world->size;
}

enum status found_count(double *share, const struct run_context *context, struct journal *journal,
                        struct error *err)
{
    if (context->world->rank == 0) {
        progress_skip(&journal->progress, look(share, context));
        progress_expect(&journal->progress, expect(share, context));
    }
    return team_broadcast(context->world, share, context->plan->num_units * sizeof *share, 0, err);
}
