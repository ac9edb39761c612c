// unit_cost.h - what a unit costs: its operations, and its time on a machine.
//
// In: the sizes of the layers. Out: work, the common currency of plan and progress, and seconds. Both are
// sums of the same terms (stages/work.h): the time is theirs at the machine's rates, and that of the bytes
// and messages.
#pragma once
#include "pipeline/plan/costs/worker.h"
#include "pipeline/plan/unit.h"

// Floating-point operations of the whole team; bytes for a stage that is SHARED_BY_BYTES.
double unit_work(const struct sizes *sizes, const struct unit *unit);
// Adds the unit to the estimate of its stage.
void unit_time(struct worker *worker, struct estimate *estimate, const struct unit *unit);
