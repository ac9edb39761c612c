// rates.h - how fast the stages of a run were, from which follows how long the rest takes.
#pragma once
#include "pipeline/plan/plan.h"
#include "pipeline/record/history.h"
#include <stdint.h>

// Work that one rank does in a second, of each stage; 0: not measured.
struct rates {
    double of_stage[STAGE_COUNT];
    double mean_work[STAGE_COUNT]; // of the units that were measured
    double forward;                // of all stages that pass sequences through layers
    double any;                    // of all
};

// Takes the newest units of each stage: their planned work over the seconds that the ranks of their teams
// spent. earlier: more units that were carried out.
void rates_measure(struct rates *rates, const struct history *history, const struct plan *plan,
                   const struct plan *earlier);

// Work that one rank does in a second for this unit: that of its stage, if units like it were measured. What
// units of far less work took, most of it something else than work, says nothing: then, and where nothing of
// the stage was measured, that of all stages that pass sequences through layers, if it is one of them, or of
// all stages. 0: nothing was measured.
double rates_of(const struct rates *rates, const struct unit *unit);

// Seconds of one rank that what is left of the plan's units of these stages (bit set) takes; share:
// unit_share of each, NULL: nothing is done. 0 when nothing was measured.
double rates_seconds(const struct rates *rates, const struct plan *plan, unsigned stages,
                     const double *share);

// The unit of the plan that an event is about, or NULL.
const struct unit *rates_unit(const struct plan *plan, const struct history_unit *event);
