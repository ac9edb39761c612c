#include "pipeline/plan/carried.h"

#include "stages/layer/carried_states.h"

// The rest is for what the plan does not count, and for the page cache.
static const double most = 0.9;

uint64_t carried_need(const struct plan *plan, const struct plan_cost *cost, size_t team_ranks,
                      size_t node_ranks, const struct capacity *capacity)
{
    if (plan->settings->states_every == 0)
        return 0;
    const uint64_t bytes = carried_bytes(plan->model, plan->settings, team_ranks);
    const double node = (double)plan_cost_node(cost, node_ranks) + (double)bytes * (double)node_ranks;
    const double process = (double)cost->rank_bytes + (double)cost->node_bytes + (double)bytes;
    return node <= most * (double)capacity->memory && process <= most * (double)capacity->address_space
               ? bytes
               : 0;
}

static bool passes_sequences(const struct plan *plan, size_t phase)
{
    for (size_t i = 0; i < plan->num_units; i++)
        if (plan->units[i].phase == phase &&
            (plan->units[i].stage == STAGE_CALIBRATE || plan->units[i].stage == STAGE_PROPAGATE))
            return true;
    return false;
}

uint64_t carried_need_most(const struct plan *plan, const struct plan_cost *cost,
                           const struct ranks_there_are *there, const struct capacity *capacity)
{
    size_t teams = 1;

    for (size_t phase = 0; phase < plan->num_phases; phase++)
        if (passes_sequences(plan, phase) && teams_of_phase(plan, phase, there) > teams)
            teams = teams_of_phase(plan, phase, there);
    return carried_need(plan, cost, there->ranks / teams > 0 ? there->ranks / teams : 1,
                        there->ranks_per_node, capacity);
}
