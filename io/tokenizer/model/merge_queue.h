// merge_queue.h - pairs of symbols that wait to be merged: lowest rank first, of equals the leftmost.
//
// Each rank has a list of positions, which grows at its end and shrinks at its beginning: O(1), and memory is
// passed through in order. That is enough because the same characters always become the same symbol by the
// same merges, whatever stands next to them: the pairs of one rank are made from left to right. A symbol that
// can be made of different first symbols (a byte token that is also spelled out) breaks the rule, and
// positions that come out of order wait in a heap. Another heap, with as many entries as ranks wait, says
// which rank is next.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

#define MERGE_NONE UINT32_MAX // no position, no node

struct merge_list { // of one rank
    uint32_t first; // index of a node, MERGE_NONE for an empty list
    uint32_t last;
};

struct merge_node {
    uint32_t position;
    uint32_t next;
};

struct merge_candidate {
    uint32_t rank;
    uint32_t position;
};

// Begin with {0}; freed with merge_queue_free.
struct merge_queue {
    struct merge_list *lists; // one for each rank
    size_t list_count;
    struct merge_node *nodes;
    size_t node_count;
    size_t node_capacity;
    uint32_t free_node;            // a list of nodes to use again
    struct merge_candidate *ranks; // a heap of the ranks whose list is not empty; position is not used
    size_t rank_count;
    size_t rank_capacity;
    struct merge_candidate *others; // a heap
    size_t other_count;
    size_t other_capacity;
};
void merge_queue_free(struct merge_queue *queue);

// Makes the queue ready for ranks below rank_count; it is empty then. Always the same rank_count for one
// queue.
enum status merge_queue_begin(struct merge_queue *queue, size_t rank_count, struct error *err);

enum status merge_queue_push(struct merge_queue *queue, uint32_t rank, uint32_t position, struct error *err);

// Takes the first candidate out; false if there is none.
bool merge_queue_pop(struct merge_queue *queue, uint32_t *rank, uint32_t *position);
