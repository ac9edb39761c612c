#include "pipeline/plan/estimate.h"

#include "pipeline/plan/costs/unit_cost.h"
#include "pipeline/plan/teams.h"

#include <math.h>
#include <string.h>

// Adds the time of what is left of the unit.
static void add_unit(struct estimate *sum, struct worker *w, const struct unit *unit)
{
    struct estimate e = {0};

    unit_time(w, &e, unit);
    scale_estimate(&e, 1 - unit->kept);
    add_estimate(sum, &e);
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

// A team of a phase, and what it has of the machine while all teams are busy. Returns how many teams there
// are.
static size_t form_teams(struct worker *w, const struct plan *plan, size_t phase)
{
    const struct machine *machine = w->machine;
    double windows = planned_windows(plan->settings, 0);
    const struct ranks_there_are there = {.ranks = machine->nodes * machine->ranks_per_node,
                                          .ranks_per_node = machine->ranks_per_node};
    const size_t teams = teams_of_phase(plan, phase, &there);
    for (size_t text = 1; text < plan->settings->num_texts; text++)
        windows = fmax(windows, planned_windows(plan->settings, text));

    w->ranks = (double)working_ranks(plan, phase, ~0U, (size_t)windows, there.ranks, teams) / (double)teams;
    // Those without work are the last ones: whole nodes of them read nothing.
    w->nodes =
        smaller((double)machine->nodes / (double)teams, ceil(w->ranks / (double)machine->ranks_per_node));
    w->copies = fmax(w->nodes, 1);
    const double share = smaller(w->nodes, 1), copies = w->copies * (double)teams;
    w->node_read = smaller(share * machine->node_read, machine->total_read / copies);
    w->node_write = smaller(share * machine->node_write, machine->total_write / copies);
    return teams;
}

// The phase's chains on its teams, as the run splits them. Time is the slowest team's.
static void estimate_phase(struct plan_estimate *estimate, const struct plan *plan,
                           const struct machine *machine, size_t phase)
{
    struct worker w = {.sizes = &plan->sizes, .machine = machine};
    const size_t count = form_teams(&w, plan, phase);
    struct estimate teams[STAGE_COUNT], slowest[STAGE_COUNT] = {0};
    double longest = -1;

    for (size_t team = 0; team < count; team++) {
        double seconds = 0;
        memset(teams, 0, sizeof teams);
        w.loaded = 0;
        for (size_t i = 0; i < plan->num_units; i++)
            if (plan->units[i].phase == phase && plan->units[i].chain % count == team)
                add_unit(&teams[plan->units[i].stage], &w, &plan->units[i]);
        for (int s = 0; s < STAGE_COUNT; s++) {
            struct estimate *stage = &estimate->stages[s];
            seconds += teams[s].seconds;
            stage->read += teams[s].read;
            stage->written += teams[s].written;
            stage->sent += teams[s].sent;
            stage->messages += teams[s].messages;
        }
        if (seconds > longest) {
            longest = seconds;
            memcpy(slowest, teams, sizeof slowest);
        }
    }
    for (int s = 0; s < STAGE_COUNT; s++) {
        estimate->stages[s].seconds += slowest[s].seconds;
        for (int p = 0; p < PART_COUNT; p++)
            estimate->stages[s].parts[p] += slowest[s].parts[p];
    }
}

static void estimate_all(struct plan_estimate *estimate, const struct plan *plan,
                         const struct machine *machine)
{
    memset(estimate, 0, sizeof *estimate);
    for (size_t phase = 0; phase < plan->num_phases; phase++)
        if (plan_chains(plan, phase) > 0)
            estimate_phase(estimate, plan, machine, phase);
    for (int s = 0; s < STAGE_COUNT; s++)
        add_estimate(&estimate->all, &estimate->stages[s]);
}

// Two settings are worth the same when one takes at least this share of the other's time.
static const double alike = 0.97;

// The ranks and threads that suit the machine's cores: as many ranks as there are sequences for, or fewer
// with more threads where that takes a tenth of the time away. A last wave of few windows is shorter then.
static void fit(struct machine *machine, struct plan_estimate *estimate, const struct plan *plan)
{
    const double worth = 0.9;
    struct plan_estimate other;

    machine_fit(machine, plan->settings->sequences);
    estimate_all(estimate, plan, machine);
    const double seconds = worth * estimate->all.seconds;
    struct machine fewer = *machine;
    while (fewer.ranks_per_node % 2 == 0) {
        fewer.ranks_per_node /= 2;
        fewer.threads *= 2;
        estimate_all(&other, plan, &fewer);
        if (other.all.seconds < seconds && other.all.seconds < alike * estimate->all.seconds) {
            *machine = fewer;
            *estimate = other;
        }
    }
}

// Doubles the nodes as long as that takes a fourth of the time away, with the ranks and threads that suit.
static void find_useful_nodes(struct plan_estimate *result, const struct plan *plan, struct machine machine)
{
    enum { MOST_NODES = 1 << 14 };
    const double worth = 0.75;
    struct plan_estimate fewer, more;
    bool open[STAGE_COUNT + 1];

    result->best = machine;
    fit(&result->best, &fewer, plan);
    if (fewer.all.seconds >= alike * result->all.seconds)
        result->best = machine;
    result->useful_nodes_all = 1;
    for (int s = 0; s < STAGE_COUNT; s++)
        result->useful_nodes[s] = 1;
    memset(open, true, sizeof open);
    machine.nodes = 1;
    fit(&machine, &fewer, plan);
    for (bool any = true; any && machine.nodes < MOST_NODES; fewer = more) {
        machine.nodes *= 2;
        fit(&machine, &more, plan);
        any = false;
        for (int s = 0; s <= STAGE_COUNT; s++) {
            const struct estimate *a = s < STAGE_COUNT ? &fewer.stages[s] : &fewer.all;
            const struct estimate *b = s < STAGE_COUNT ? &more.stages[s] : &more.all;
            size_t *useful = s < STAGE_COUNT ? &result->useful_nodes[s] : &result->useful_nodes_all;
            open[s] = open[s] && b->seconds <= worth * a->seconds && a->seconds > 0;
            if (open[s])
                *useful = machine.nodes;
            any = any || open[s];
        }
    }
}

void plan_estimate(struct plan_estimate *estimate, const struct plan *plan, const struct machine *machine)
{
    estimate_all(estimate, plan, machine);
    find_useful_nodes(estimate, plan, *machine);
}
