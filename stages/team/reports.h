// reports.h - how far the teams of a phase are, told to the world's first rank while all work.
//
// Teams do not wait for one another. The first rank of each sends two amounts now and then, and a last time
// when it has finished; the world's first rank takes in what has come.
#pragma once
#include "stages/team/team.h"

enum { REPORT_AMOUNTS = 2 }; // sums over the teams; what they mean is the caller's

struct reports {
    MPI_Comm comm; // not shared with other messages
    int rank, size;
    double sent[REPORT_AMOUNTS]; // the message under way
    MPI_Request request;
    double (*heard)[REPORT_AMOUNTS]; // [size], on the world's first rank: the newest of each rank
    int num_last;                    // ranks that have finished
};

// Collective over world. Freed with reports_free, which is collective, too; zeroed is fine.
enum status reports_create(struct reports *reports, const struct team *world, struct error *err);
void reports_free(struct reports *reports);

// The first rank of a team, but not the world's: its amounts so far. Does not wait: nothing is sent while the
// message before is under way.
void reports_tell(struct reports *reports, const double amounts[REPORT_AMOUNTS]);
// The same at its end; every such rank once in a phase.
void reports_tell_last(struct reports *reports, const double amounts[REPORT_AMOUNTS]);

// The world's first rank: takes in what has come, without waiting. sums: of all other teams. Returns how many
// of these have finished.
int reports_hear(struct reports *reports, double sums[REPORT_AMOUNTS]);
// Begins another phase, after all teams of the one before have told their last.
void reports_reset(struct reports *reports);
