// nodes.h - how the nodes of a team bring their copies of a block of shared memory (shared_block.h) together,
// after the ranks of each, or each node for all, wrote a part of it.
#pragma once
#include "stages/team/team.h"

struct nodes {
    size_t count;     // of the team's nodes
    int *of;          // [team size] the node of each rank
    MPI_Comm leaders; // the first rank of each node, node after node; MPI_COMM_NULL on other ranks
};

// Rows of a matrix of doubles, or a part of each.
struct double_rows {
    double *first;
    size_t rows, columns, stride; // in doubles; each fits an int
};

// Collective over the team. Freed with nodes_free.
enum status nodes_create(struct nodes *nodes, const struct team *team, struct error *err);
void nodes_free(struct nodes *nodes); // collective; a zeroed struct is fine

// The rows as the memory of rank `rank`'s node has them, to the memory of the other nodes. Every rank calls
// it with the address in its own node's memory; only the first rank of each node has work to do. Before the
// call and after it a shared_block_sync makes the others' writes visible. The caller agrees on the status.
enum status nodes_send_rows(const struct nodes *nodes, const struct double_rows *rows, int rank,
                            struct error *err);
// The same of bytes of the memory of node `node`, from 0 on: nodes are counted as `of` does.
enum status nodes_send_bytes(const struct nodes *nodes, void *bytes, uint64_t size, size_t node,
                             struct error *err);
