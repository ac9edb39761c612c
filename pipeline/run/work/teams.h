// teams.h - splits the ranks into the teams of a phase (pipeline/plan/teams.h says how many).
#pragma once
#include "pipeline/run/work/context.h"

// Collective over the world. Forms the teams of a phase; this rank's is freed with team_free. Teams take no
// more ranks than there is work for. windows: of the evaluation.
enum status teams_form(struct team *team, const struct run_context *context, size_t phase, size_t windows,
                       struct error *err);
