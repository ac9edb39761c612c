// teams.h - how ranks form teams for a phase: one rule, for the run and for the estimate of it.
//
// In: the plan and how many ranks there are on how many nodes. Out: numbers of teams and ranks. No MPI.
#pragma once
#include "pipeline/plan/plan.h"

struct ranks_there_are {
    size_t ranks, ranks_per_node;
    size_t wanted; // teams, --teams; 0 when it was not given
};

// How many teams work on `chains` chains at once, at least one. Without a wish each node is a team, which
// loads a layer once, or, where layers are small, as many teams as get about as many chains each: ranks of
// different teams need not wait for each other. layer_bytes: of the largest layer in float32, 0 when it is
// not known. Public for tests.
size_t teams_for(const struct ranks_there_are *there, size_t chains, uint64_t layer_bytes);
// The same for the chains of a phase and the layers of its model.
size_t teams_of_phase(const struct plan *plan, size_t phase, const struct ranks_there_are *there);

// The ranks that work, of all teams together, from the first on: no more than there are parts for in the
// stages that are carried out. One too many would only read layers and wait. stages, windows: as those of
// plan_useful_ranks.
size_t working_ranks(const struct plan *plan, size_t phase, unsigned stages, size_t windows, size_t ranks,
                     size_t teams);
