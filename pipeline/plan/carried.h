// carried.h - whether hidden states stay in memory between layers (calibration.states_every), and what they
// need of it: one rule, for the run and for the plan.
#pragma once
#include "pipeline/plan/capacity.h"
#include "pipeline/plan/teams.h"

// Bytes that each rank of a team of `team_ranks` needs for them, beside `cost`, which is that of `node_ranks`
// ranks on a node; 0: the job does not ask for it, or a node, or a process, may have too little memory.
uint64_t carried_need(const struct plan *plan, const struct plan_cost *cost, size_t team_ranks,
                      size_t node_ranks, const struct capacity *capacity);

// The same for the smallest teams that pass sequences through layers, which need most.
uint64_t carried_need_most(const struct plan *plan, const struct plan_cost *cost,
                           const struct ranks_there_are *there, const struct capacity *capacity);
