// team_share.h - the units of a phase that one team carries out, and which of them can be done now.
#pragma once
#include "pipeline/plan/plan.h"
#include "stages/prune/cuts.h"
#include "stages/stage.h"

struct team_share {
    const struct plan *plan;
    const struct run_record *record;
    const struct stage *stage; // of the team
    size_t phase;
    unsigned stages; // bit set of enum stage_kind: what the command asks for
};

// Whether the unit is in the share: of its phase, of a chain that is this team's, and of a stage that the
// command asks for.
bool share_has(const struct team_share *share, const struct unit *unit);

enum verdict { UNIT_TODO = 0, UNIT_DONE = 1, UNIT_WAITS = 2 };
enum { WAITING_SIZE = 512 };

// Collective over the team. Whether the unit is done, and else whether every committed file that it reads is
// there; the team's rank 0 looks, all ranks act on what it saw. For one that waits, the team's rank 0 gets in
// waiting[WAITING_SIZE] "STAGE waits for FILE".
enum status judge_unit(enum verdict *verdict, char *waiting, const struct team_share *share,
                       const struct unit *unit, struct error *err);

// Units that are carried out together: one, or several masks of a layer that are cut from the same scores.
struct unit_batch {
    const struct unit *units[SCORE_BATCH];
    size_t count;
};

// Collective over the team. Takes the plan's unit `first` and, when it is a mask, those after it that are to
// do and share its scores; sets taken[] of those others.
enum status batch_take(struct unit_batch *batch, bool *taken, const struct team_share *share, size_t first,
                       struct error *err);
