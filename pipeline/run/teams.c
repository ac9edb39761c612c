#include "pipeline/run/teams.h"

#include "stages/layer/layer_weights.h"

// Bytes of layers that the teams of a node may hold together, without --teams.
static const uint64_t node_memory = (uint64_t)256 << 20;

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t teams_that_fit(size_t node_ranks, uint64_t layer_bytes)
{
    const uint64_t fit = layer_bytes > 0 ? node_memory / layer_bytes : 1;
    return fit < 1 ? 1 : fit < node_ranks ? (size_t)fit : node_ranks;
}

size_t teams_for(const struct team *world, size_t chains, size_t wanted, uint64_t layer_bytes)
{
    const size_t size = (size_t)world->size, node_ranks = (size_t)world->node_size;
    const size_t nodes = size / node_ranks;
    size_t teams = wanted > 0 ? wanted : nodes;

    // More than one on a node only where all get about as many chains: teams are busy nine tenths of the
    // time.
    for (size_t more = wanted > 0 ? 1 : teams_that_fit(node_ranks, layer_bytes); more > 1; more--) {
        const size_t rounds = (chains + nodes * more - 1) / (nodes * more);
        if (10 * chains >= 9 * rounds * nodes * more) {
            teams = nodes * more;
            break;
        }
    }
    teams = smaller(smaller(teams, size), chains);
    return teams > 0 ? teams : 1;
}

enum status teams_form(struct team *team, const struct run_context *context, size_t phase, size_t windows,
                       struct error *err)
{
    const struct team *world = context->world;
    const size_t size = (size_t)world->size;
    const size_t useful = plan_useful_ranks(context->plan, phase, context->stages, windows);
    size_t floats = 0;

    if (layer_weights_size(&floats, context->model, NULL) != STATUS_OK)
        floats = 0;
    int teams = (int)teams_for(world, plan_chains(context->plan, phase), (size_t)context->options->teams,
                               floats * sizeof(float));
    // Nodes may have unequal numbers of ranks: rank 0 decides.
    FORWARD_IF_ERROR(team_broadcast(world, &teams, sizeof teams, 0, err));
    const bool few = useful < size / (size_t)teams;
    return team_create_within(team, world->comm, teams, few ? (int)useful * teams : (int)size, err);
}
