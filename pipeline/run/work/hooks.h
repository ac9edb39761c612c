// hooks.h - how the stages ask whether to stop, and tell how far they are.
#pragma once
#include "pipeline/cli/stop.h"
#include "pipeline/run/work/journal.h"
#include "stages/stage.h"
#include "stages/team/alarm.h"
#include "stages/team/reports.h"

// Of the work of a team's units in a phase: what is done, and what of it earlier starts did.
enum headway { HEADWAY_DONE, HEADWAY_EARLIER };

// Context of a team's hooks; lives as long as its stage.
struct run_hooks {
    const struct stop *stop;
    struct alarm *alarm;
    struct journal *journal;
    struct reports *reports;                            // between the teams of a phase
    bool hears, tells;                                  // the first rank of the world, of another team
    double own[REPORT_AMOUNTS], others[REPORT_AMOUNTS]; // by enum headway; others: as far as was heard
    double told;                                        // when this rank last told
    const double
        *share;        // by units of the plan: how much of their work was counted before the first (found.h)
    double unit_left;  // planned work of the unit in hand that was not counted yet
    double unit_ahead; // of what its stage is yet to tell that an earlier start did: what was counted before
    double unit_counted; // work that its stage has told
    double unit_skipped; // of its planned work what an earlier start did
    double grace;        // seconds that the unit in hand may still take after the program was told to stop
    double unit_started; // when the unit in hand began, on stop_clock
};

// Seconds of grace. max_time 0: no time limit; otherwise margin is the time before it at which to stop.
double stop_grace(double max_time, double margin);

struct stage_hooks stage_hooks_of(struct run_hooks *hooks);
// This rank was told to stop, or lost its lock, or another team failed: no unit is begun any more.
bool hooks_are_stopped(const struct run_hooks *hooks);

// A phase of this team begins, and ends. On the world's first rank the end waits for the other teams, whose
// progress goes on being shown.
void hooks_begin_phase(struct run_hooks *hooks, const struct team *team);
void hooks_end_phase(struct run_hooks *hooks, const struct team *team);
// A unit, or several at once, begins, has ended, or was found done that was not done at the start. work: what
// was planned for it and not counted at the start; ahead: of it what an earlier start kept, and was counted.
// What a stage tells counts up to that work, and the rest when it has ended: the sum is that of the plan.
void hooks_begin_unit(struct run_hooks *hooks, double work, double ahead);
void hooks_end_unit(struct run_hooks *hooks);
void hooks_found_unit(struct run_hooks *hooks, double work);
