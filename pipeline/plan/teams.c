#include "pipeline/plan/teams.h"

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

size_t teams_for(const struct ranks_there_are *there, size_t chains, uint64_t layer_bytes)
{
    const size_t nodes = there->ranks / there->ranks_per_node;
    size_t teams = there->wanted > 0 ? there->wanted : nodes;
    size_t more = there->wanted > 0 ? 1 : teams_that_fit(there->ranks_per_node, layer_bytes);

    // More than one on a node only where all get about as many chains: teams are busy nine tenths of the
    // time.
    for (; more > 1; more--) {
        const size_t rounds = (chains + nodes * more - 1) / (nodes * more);
        if (10 * chains >= 9 * rounds * nodes * more) {
            teams = nodes * more;
            break;
        }
    }
    teams = smaller(smaller(teams, there->ranks), chains);
    return teams > 0 ? teams : 1;
}

size_t teams_of_phase(const struct plan *plan, size_t phase, const struct ranks_there_are *there)
{
    size_t floats = 0;
    if (layer_weights_size(&floats, plan->model, NULL) != STATUS_OK)
        floats = 0;
    return teams_for(there, plan_chains(plan, phase), floats * sizeof(float));
}

size_t working_ranks(const struct plan *plan, size_t phase, unsigned stages, size_t windows, size_t ranks,
                     size_t teams)
{
    const size_t useful = plan_useful_ranks(plan, phase, stages, windows);
    return useful < ranks / teams ? useful * teams : ranks;
}
