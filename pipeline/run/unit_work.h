// unit_work.h - what a unit is: the stages' functions, called with what the run has.
#pragma once
#include "pipeline/run/runner.h"

// Collective over the team. Does the unit and commits it; masks that are cut from the same scores
// (runner->units) are all done with the first.
enum status unit_carry_out(struct runner *runner, const struct unit *unit, struct error *err);
