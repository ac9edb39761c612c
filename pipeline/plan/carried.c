#include "pipeline/plan/carried.h"

#include "stages/layer/carried_states.h"

// The rest is for what the plan does not count, and for the page cache.
static const double most = 0.9;

bool plan_passes_sequences(const struct plan *plan, size_t phase)
{
    for (size_t i = 0; i < plan->num_units; i++)
        if (plan->units[i].phase == phase &&
            (plan->units[i].stage == STAGE_CALIBRATE || plan->units[i].stage == STAGE_PROPAGATE))
            return true;
    return false;
}

bool states_fit(const struct plan *plan, const struct plan_cost *cost, size_t team_ranks, size_t node_ranks,
                const struct capacity *capacity)
{
    const double bytes = (double)carried_bytes(plan->model, plan->settings, team_ranks);
    const double node = (double)plan_cost_node(cost, node_ranks) + bytes * (double)node_ranks;
    const double process = (double)cost->rank_bytes + (double)cost->node_bytes + bytes;

    return node <= most * (double)capacity->memory && process <= most * (double)capacity->address_space;
}

uint64_t carried_need(const struct plan *plan, const struct ranks_there_are *there)
{
    size_t teams = 0;

    for (size_t phase = 0; phase < plan->num_phases && plan->settings->states_every > 0; phase++)
        if (plan_passes_sequences(plan, phase) && teams_of_phase(plan, phase, there) > teams)
            teams = teams_of_phase(plan, phase, there);
    if (teams == 0)
        return 0;
    const size_t ranks = there->ranks / teams;
    return carried_bytes(plan->model, plan->settings, ranks > 0 ? ranks : 1);
}
