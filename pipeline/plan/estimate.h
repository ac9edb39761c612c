// estimate.h - how long a plan takes on a machine, and what moves: an analytic model of what the stages do.
// slurm/SCALING.md explains the terms and applies it to models of 7 B to 405 B parameters.
//
// In: a plan and a machine. Out: seconds, bytes and messages of each stage; how many nodes are worth having.
#pragma once
#include "pipeline/plan/costs/worker.h"
#include "pipeline/plan/plan.h"

struct plan_estimate {
    struct estimate stages[STAGE_COUNT], all;
    struct machine best; // the same cores, with the number of ranks and threads that suits the job best
    // The most nodes that are worth having: each doubling up to here takes a fourth of the time away, or
    // more.
    size_t useful_nodes[STAGE_COUNT], useful_nodes_all;
};

// plan: made by plan_create.
void plan_estimate(struct plan_estimate *estimate, const struct plan *plan, const struct machine *machine);
