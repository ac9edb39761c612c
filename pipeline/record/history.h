// history.h - RUN/log.jsonl read back: the units done, by whom and how fast, and those begun and not ended.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

// One "unit" or "begin" event. Texts are as in the log; "" where it has none.
struct history_unit {
    char stage[24], variant[128]; // variant "dense" for what all share
    char task[72];                // of the stage "tasks": its name
    long layer;                   // -1: none
    double time;                  // of the event: seconds since 1970
    double seconds;               // that the unit took; 0 while it is worked on
    double skipped;               // of its planned work what an earlier start had done
    double memory;                // largest resident bytes of the team's first rank until then; 0: not known
    size_t team, first_rank, team_ranks, ranks;
    char process[320], node[256], slurm_job[64];
};

// One start of the program.
struct history_start {
    char process[320], command[24], slurm_job[64], version[32], message[256];
    double time, end; // end 0: no line says that it ended
    size_t ranks;
    int exit_code;
    size_t committed; // units, and parts of evaluations
    bool futile;      // it was stopped by a scheduler's signal or the time limit before it committed anything
};

struct history {
    size_t num_units, num_begun, num_starts;
    struct history_unit *units; // carried out, in the order of the log
    struct history_unit
        *begun; // begun by a start that has not ended, the unit not done: worked on now, or lost
    struct history_start *starts;
};

// Reads RUN/log.jsonl; lines that are torn or not understood are skipped, a log that is not there is empty.
// Freed with history_free.
enum status history_read(struct history *history, const char *run, struct error *err);
void history_free(struct history *history);

// Whether the last start of the same command that had something to do and has ended was futile, and none has
// committed anything since. slurm_job: only starts of this job count; "": those outside of Slurm.
bool history_ends_futile(const struct history *history, const char *command, const char *slurm_job);

// "2026-02-03T04:05:06.789Z" in seconds since 1970; 0 when it is not a time. Public for tests.
double history_time(const char *text);
