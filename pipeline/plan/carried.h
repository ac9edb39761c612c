// carried.h - what hidden states that stay in memory between layers (calibration.states_every) need of it.
#pragma once
#include "pipeline/plan/capacity.h"
#include "pipeline/plan/teams.h"

// Whether the units of the phase pass sequences through layers.
bool plan_passes_sequences(const struct plan *plan, size_t phase);

// Whether each rank of a team of `team_ranks` has room for them (carried_bytes) beside `cost`, which is that
// of `node_ranks` ranks on a node.
bool states_fit(const struct plan *plan, const struct plan_cost *cost, size_t team_ranks, size_t node_ranks,
                const struct capacity *capacity);

// Bytes that each rank of the smallest teams that pass sequences takes for them; 0: the job does not ask for
// it.
uint64_t carried_need(const struct plan *plan, const struct ranks_there_are *there);
