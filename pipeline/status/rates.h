// rates.h - how fast a run's stages were, and so how long the rest takes.
#pragma once
#include "pipeline/plan/plan.h"
#include "pipeline/record/history.h"

// Work that one rank does in a second, of each stage; 0: not measured.
struct rates {
    double of_stage[STAGE_COUNT];
    double forward; // of all stages that pass sequences through layers
    double any;     // of all
};

// From the newest units of each stage: their planned work over the seconds that their team's ranks spent.
void rates_measure(struct rates *rates, const struct history *history, const struct plan *plan);

// Work in a second of one rank for a unit of this stage, from the nearest thing that was measured; 0: nothing
// was.
double rates_of(const struct rates *rates, enum stage_kind stage);

// The unit of the plan that an event is about, or NULL.
const struct unit *rates_unit(const struct plan *plan, const struct history_unit *event);
