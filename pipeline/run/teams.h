// teams.h - how the ranks are split into the teams of a phase.
#pragma once
#include "pipeline/run/context.h"

// How many teams work on `chains` chains at once. world: its size and the ranks of a node. wanted: --teams, 0
// when it was not given; then each node is a team, which loads a layer once, or, where layers are small, as
// many teams as get about as many chains each: ranks of different teams need not wait for each other.
// layer_bytes: of the largest layer in float32, 0 when it is not known.
size_t teams_for(const struct team *world, size_t chains, size_t wanted, uint64_t layer_bytes);

// Collective over the world. Forms the teams of a phase; this rank's is freed with team_free. Teams take no
// more ranks than there is work for: one too many would only read layers and wait. windows: of the
// evaluation.
enum status teams_form(struct team *team, const struct run_context *context, size_t phase, size_t windows,
                       struct error *err);
