// hooks.h - how the stages ask whether to stop, and tell how far they are.
#pragma once
#include "pipeline/cli/stop.h"
#include "pipeline/run/journal.h"
#include "stages/stage.h"
#include "stages/team/alarm.h"

// Context of a team's hooks; lives as long as its stage.
struct run_hooks {
    const struct stop *stop;
    struct alarm *alarm;
    struct journal *journal;
    double all_of_own;   // work of all teams in the phase, as a multiple of this one's
    double grace;        // seconds that the unit in hand may still take after the program was told to stop
    double unit_started; // when the unit in hand began, on stop_clock
};

// Seconds of grace. max_time 0: no time limit; otherwise margin is the time before it at which to stop.
double stop_grace(double max_time, double margin);

struct stage_hooks stage_hooks_of(struct run_hooks *hooks);
// This rank was told to stop, or another team failed: no unit is begun any more.
bool hooks_are_stopped(const struct run_hooks *hooks);
