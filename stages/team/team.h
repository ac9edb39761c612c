// team.h - the ranks that work on one unit together. All MPI calls of stages/ live here.
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

// Ordered sums (kernels/METHOD.md §14): the bits do not depend on the number of ranks. Sequences are handed
// out in waves: in wave w, rank r holds the sequence w * size + r, if there is one. After each wave every
// rank calls ordered_sum_add with its sequence's partial vector (NULL: none in this wave); each rank owns a
// slice of the channels and adds the partials of its slice in the order of the sequences. ordered_sum_finish
// gives everyone the totals. Memory is a few vectors, whatever the number of sequences. All collective.
struct ordered_sum;
// length doubles, the first `length - maxima` of which are summed and the last `maxima` of which are
// maximised.
enum status ordered_sum_begin(struct ordered_sum **sum, const struct team *team, size_t length, size_t maxima,
                              struct error *err);
enum status ordered_sum_add(struct ordered_sum *sum, const double *partial, struct error *err);
enum status ordered_sum_finish(struct ordered_sum *sum, double *totals, struct error *err); // does not free
void ordered_sum_free(struct ordered_sum *sum);                                             // NULL is fine

// Sums of integers over the team, in place. Exact. Collective.
enum status team_sum_u64(const struct team *team, uint64_t *values, size_t count, struct error *err);
// values[r] of the lower ranks, summed. Collective.
enum status team_exclusive_sum_u64(const struct team *team, uint64_t mine, uint64_t *before,
                                   struct error *err);
// Every rank gives its share [first, first + count) of data[total] (elements of `width` bytes, shares as by
// share_of) and gets the whole. Counts beyond 2^31 work. Collective.
enum status team_allgather(const struct team *team, void *data, size_t total, size_t width,
                           struct error *err);

// Memory that the ranks of a node share (MPI_Win_allocate_shared): one copy per node, aligned to 64 bytes.
// Collective over the team, so that all nodes leave together. Not enough of it, also of the file system
// behind it, is STATUS_MEMORY and says what was asked for what.
struct shared_block {
    MPI_Win window;
    void *data; // the same memory on every rank of the node
    uint64_t bytes;
};
enum status shared_block_allocate(struct shared_block *block, const struct team *team, uint64_t bytes,
                                  const char *purpose, struct error *err);
// What this node's ranks wrote is visible to all of them afterwards. Collective over the node.
void shared_block_sync(const struct shared_block *block, const struct team *team);
void shared_block_free(struct shared_block *block); // collective; a zeroed struct is fine
