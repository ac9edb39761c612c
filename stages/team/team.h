// team.h - the ranks that work on one unit together. All MPI calls of stages/ live in this folder.
//
// Every step that can fail on one rank ends in team_agree, so that all ranks leave together with the message
// of the rank that has it.
#pragma once
#include "kernels/error.h"
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

struct team {
    MPI_Comm comm; // the team
    int rank, size;
    MPI_Comm node; // the ranks of the team that share memory
    int node_rank, node_size;
    int index, count; // which team of how many the world is split into
    int world_rank, world_size;
};

// Splits world into `count` teams of contiguous ranks, as equal as possible (1 <= count <= world size).
// Collective.
enum status team_create(struct team *team, MPI_Comm world, int count, struct error *err);
// The same of the first `ranks` ranks of world (count <= ranks <= world size). The others, if there are any,
// form one more team, whose index is `count`: it has nothing to do.
enum status team_create_within(struct team *team, MPI_Comm world, int count, int ranks, struct error *err);
// This process alone, where MPI is not started: a look at a job before it runs. Only the functions below, up
// to team_sum_u64, may be called with it, and those of stages/ that use no others. Nothing to free.
void team_alone(struct team *team);
bool team_is_idle(const struct team *team);
void team_free(struct team *team); // collective

// Collective. Returns the worst status of all ranks, and fills err with the message of the lowest rank that
// has it (prefixed "rank R: " when the team has more than one rank). err->status must be this rank's own
// status on entry.
enum status team_agree(const struct team *team, enum status mine, struct error *err);
// Collective: true when any rank says so.
bool team_any(const struct team *team, bool mine);
void team_barrier(const struct team *team);
// Collective: bytes of rank `root` to all; size may exceed 2^31.
enum status team_broadcast(const struct team *team, void *bytes, uint64_t size, int root, struct error *err);

// part's share of [0, total) among parts: contiguous, sizes differ by at most one.
void share_of(size_t total, size_t part, size_t parts, size_t *first, size_t *count);

// Sums of integers over the team, in place. Exact. Collective.
enum status team_sum_u64(const struct team *team, uint64_t *values, size_t count, struct error *err);
// The largest of each value over the team, in place. None may be NaN. Collective.
enum status team_max_f64(const struct team *team, double *values, size_t count, struct error *err);
// values[r] of the lower ranks, summed. Collective.
enum status team_exclusive_sum_u64(const struct team *team, uint64_t mine, uint64_t *before,
                                   struct error *err);
// Every rank gives its share [first, first + count) of data[total] (elements of `width` bytes, shares as by
// share_of) and gets the whole. Counts beyond 2^31 work. Collective.
enum status team_allgather(const struct team *team, void *data, size_t total, size_t width,
                           struct error *err);
