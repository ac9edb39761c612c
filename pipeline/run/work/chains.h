// chains.h - carries out one team's share of a phase: its chains, unit by unit.
#pragma once
#include "pipeline/run/work/hooks.h"
#include "pipeline/run/work/unit_work.h"

struct run_outcome {
    size_t units_done, units_found; // carried out now, and found done
    char waiting[WAITING_SIZE];     // rank 0: why a chain could not go on, "" when all could
    struct unit_batch batch;        // in hand last; after STATUS_DAMAGED, those that read the damaged file
};

// Collective over the team. Carries out what is not done, in the order of the plan, and adds to the outcome.
// A chain that waits for a file is left; the others go on.
enum status chains_run(struct run_outcome *outcome, const struct team_share *share,
                       const struct unit_context *context, struct run_hooks *hooks, struct error *err);
