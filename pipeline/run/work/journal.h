// journal.h - what a run says of itself while it works: to people by its progress, to programs in
// RUN/log.jsonl.
#pragma once
#include "pipeline/cli/progress.h"
#include "pipeline/plan/unit.h"
#include "pipeline/record/log.h"
#include "stages/team/team.h"

struct journal {
    struct progress progress; // of the world's rank 0; during a phase every team's rank 0 has its messages
    bool is_quiet;            // nobody speaks
    bool has_bar;             // the world's rank 0 has a bar, which the messages of others have to clear
    struct event_log *log;    // of the world's rank 0; during a phase of every team's rank 0, too
    char process[LOG_PROCESS_SIZE]; // "HOST:PID" of the world's rank 0
};

// Collective over the world. Opens RUN/log.jsonl on its rank 0. Closed with journal_close, also after an
// error.
enum status journal_open(struct journal *journal, const struct team *world, const char *run,
                         struct error *err);
void journal_close(struct journal *journal); // zeroed is fine

// Collective over the world, when its rank 0 has begun to show progress: tells all ranks how.
enum status journal_share_bar(struct journal *journal, const struct team *world, struct error *err);

// A team of a phase begins and ends: each team's first rank logs the team's own units. Not collective. A log
// that cannot be opened stops nobody.
void journal_join_team(struct journal *journal, const struct team *team, const char *run);
void journal_leave_team(struct journal *journal, const struct team *team);

// What a unit took: seconds, the work that its stage told, and of the planned work what an earlier start did.
struct unit_spent {
    double seconds, work, skipped;
};

// A line of the log. event: "begin", or "unit" when the unit is done.
void journal_unit(const struct journal *journal, const struct team *team, const struct settings *settings,
                  const struct unit *unit, const char *event, const struct unit_spent *spent);
