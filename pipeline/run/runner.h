// runner.h - carries out a plan: which unit next, on which team; stop, resume, redo what is damaged.
#pragma once
#include "pipeline/cli/options.h"
#include "pipeline/cli/progress.h"
#include "pipeline/cli/stop.h"
#include "pipeline/plan/plan.h"
#include "pipeline/record/log.h"
#include "pipeline/record/run_record.h"
#include "stages/evaluate/perplexity.h"
#include "stages/evaluate/tasks.h"
#include "stages/prune/cuts.h"
#include "stages/stage.h"
#include "stages/team/alarm.h"

struct runner {
    const struct options *options;
    const struct settings *settings;
    const struct model *model;
    struct run_record *record;
    const struct plan *plan;
    const struct stop *stop;
    struct team *world;             // all ranks as one team
    struct event_log *log;          // world rank 0, in a phase every team's first rank; else NULL
    char process[LOG_PROCESS_SIZE]; // of world rank 0
    struct progress progress;
    unsigned stages; // bit set of enum stage_kind: what the command asks for

    struct evaluation_windows evaluation; // when something is to be evaluated
    struct task_set tasks;                // those that are to be evaluated
    struct alarm alarm;                   // a team that fails ends the others, too

    // Of the phase in hand.
    const struct team *team;
    struct stage stage;
    struct layer_weights weights;
    const struct unit *units[SCORE_BATCH]; // in hand: one, or masks that are cut from the same scores
    size_t num_units;
    double unit_started;
    size_t units_done, units_found; // carried out, found done
    char waiting[512];              // why the command could not go on with a chain, "" if it could
};

// Collective over the world. Reads and checks the inputs, then commits run.json and sequences.h5: a start
// that is refused leaves nothing behind. What programs that share a run directory must not do side by side.
enum status runner_prepare(struct runner *runner, struct error *err);

// Collective over the world. Carries out everything of the plan that runner->stages asks for and is not done.
// Fields up to `stages` are the caller's. STATUS_STOPPED when told to stop.
enum status runner_run(struct runner *runner, struct error *err);
