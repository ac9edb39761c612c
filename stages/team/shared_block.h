// shared_block.h - memory that the ranks of a node share (MPI_Win_allocate_shared): one copy for each node.
#pragma once
#include "stages/team/team.h"

struct shared_block {
    MPI_Win window;
    void *data; // the same memory on every rank of the node, aligned to 64 bytes
    uint64_t bytes;
};

// Collective over the team, so that all nodes leave together. When memory, or the file system that backs it,
// does not suffice, it is STATUS_MEMORY, and the message says how much was wanted and for what purpose. Freed
// with shared_block_free.
enum status shared_block_allocate(struct shared_block *block, const struct team *team, uint64_t bytes,
                                  const char *purpose, struct error *err);
// Afterwards every rank of the node sees what the others wrote. Collective over the node.
void shared_block_sync(const struct shared_block *block, const struct team *team);
void shared_block_free(struct shared_block *block); // collective; a zeroed struct is fine
