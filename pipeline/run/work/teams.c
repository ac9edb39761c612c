#include "pipeline/run/work/teams.h"

#include "pipeline/plan/teams.h"

enum status teams_form(struct team *team, const struct run_context *context, size_t phase, size_t windows,
                       struct error *err)
{
    const struct team *world = context->world;
    const struct ranks_there_are there = {.ranks = (size_t)world->size,
                                          .ranks_per_node = (size_t)world->node_size,
                                          .wanted = (size_t)context->options->teams};
    int teams = (int)teams_of_phase(context->plan, phase, &there);

    // Nodes may have unequal numbers of ranks: rank 0 decides.
    FORWARD_IF_ERROR(team_broadcast(world, &teams, sizeof teams, 0, err));
    const size_t ranks =
        working_ranks(context->plan, phase, context->stages, windows, there.ranks, (size_t)teams);
    return team_create_within(team, world->comm, teams, (int)ranks, err);
}
