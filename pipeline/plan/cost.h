// cost.h - what a plan needs of a machine: memory and disk, from shapes alone.
//
// In: a plan and the number of ranks of a team. Out: bytes, as the program will use them.
#pragma once
#include "pipeline/plan/plan.h"

struct plan_cost {
    uint64_t rank_bytes; // private to each rank, the program itself included
    uint64_t node_bytes; // once per node: one layer's weights in float32
    uint64_t peak_bytes; // resident size of a rank at its peak, with the shared pages that it touches
    uint64_t idle_bytes; // of a rank that has read nothing yet
    uint64_t
        text_bytes; // for the longest text: the first rank holds and tokenises it before any layer is read
    uint64_t hessians_bytes; // on disk, for sparsegpt
    uint64_t statistics_bytes, activations_bytes, masks_bytes, weights_bytes, output_bytes; // on disk
    double work; // floating-point operations
};
// What a node needs with so many ranks on it.
uint64_t plan_cost_node(const struct plan_cost *cost, size_t ranks);

// ranks: of a team on one node.
enum status plan_cost(struct plan_cost *cost, const struct plan *plan, size_t ranks, struct error *err);
