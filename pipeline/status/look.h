// look.h - a run directory as it is at one moment: what is done, who works, how long is left. Changes
// nothing.
#pragma once
#include "pipeline/plan/record.h"
#include "pipeline/record/history.h"
#include "pipeline/status/holders.h"
#include "pipeline/status/rates.h"

// How many units of a stage of a variant there are, how many are done, and how many of these only because
// they are not needed (unit_is_not_needed).
struct tally {
    size_t done, all, not_needed;
};

// A run directory as it was seen at one moment. Text and JSON show the same.
struct look {
    const char *run;
    struct run_view view;
    struct history history;
    struct holders holders;
    struct rates rates;
    // unit_share of [num_units] of the view's plan, and of what only earlier jobs asked for.
    double *share, *share_earlier;
    size_t num_done; // of the plan, as all that follows
    double work_done, now;
    double fraction;     // of the time that all units take at the measured rates; of the work when nothing is
    size_t ranks;        // of the programs that work, or of the last one that did
    bool works;          // some program does
    double seconds_left; // negative: cannot be told
};

// Reads the run directory `run`. Freed with look_free, also after an error. STATUS_USAGE when it is none.
enum status look_at(struct look *look, const char *run, struct error *err);
void look_free(struct look *look);

// Whether the last job asked for the variant; NULL: the dense model.
bool look_is_asked(const struct look *look, const struct variant *variant);

// Counts the units of `variant`, NULL: those without one, into tallies, which are zeroed before: those that
// the last job asked for, or of a variant that only earlier jobs asked for all.
void look_tally(struct tally tallies[STAGE_COUNT], const struct look *look, const struct variant *variant);

// Whether the program that holds a lock is the `process` of a line of the log.
bool look_is_process(const struct lock_holder *holder, const char *process);
// The newest start in the log of the program that holds a lock; NULL before it wrote its first line.
const struct history_start *look_start_of(const struct history *history, const struct lock_holder *holder);
