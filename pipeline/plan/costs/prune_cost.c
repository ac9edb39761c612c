// Masks and weights: score, compensate.
#include "pipeline/plan/costs/stage_costs.h"

#include "kernels/pruning/masks/candidates.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/pruning/solving/second_order.h"
#include "stages/compensate/guard.h"
#include "stages/layer/layer_trial.h"
#include "stages/stage.h"
#include "stages/work.h"

#include <math.h>

// ---- score ----------------------------------------------------------------------------------------------

// Sequences that judge: those held out, or all where none can be.
static double judging_sequences(const struct settings *settings)
{
    const size_t held_out = held_out_sequences(settings);
    return (double)(held_out > 0 ? held_out : settings->sequences);
}

// The method auto: a mask of each candidate, and a trial of each; of experts the outputs of each.
static double choosing_work(const struct sizes *sizes, const struct layer_size *layer)
{
    size_t candidates;
    importance_candidates(&candidates);
    const double all = 1 + (double)candidates;
    return score_work((double)candidates * layer->pruned) +
           judging_sequences(sizes->settings) *
               (all * layer->groups * layer->forward + layer->chosen_passes + all * layer->expert_products);
}

// What score does to linears whose masks and weights are made together.
static struct compensation_kind joint_kind(void)
{
    return (struct compensation_kind){.solves = true, .matches = true, .measures = true};
}

// Factors are fitted to all sequences; a guard alone looks at the held-out ones, and so does least squares,
// whose fit is made of other sums, unless means are matched as well.
static double measured_sequences(const struct sizes *sizes, const struct compensation_kind *kind)
{
    const bool fits = kind->solves ? kind->shifts : kind->matches;
    return fits ? (double)sizes->settings->sequences : judging_sequences(sizes->settings);
}

static double measuring_work(const struct sizes *sizes, const struct unit *unit,
                             const struct compensation_kind *kind)
{
    const struct layer_size *layer = layer_of(sizes, unit);
    const struct variant *variant = unit->variant;
    // The dense weights, those as pruned, and those as compensated where they are not the same.
    const double products = kind->solves || variant->energy_columns || variant->energy_rows ? 3 : 2;
    const double streams = kind->matches ? 2 : 1;
    return measured_sequences(sizes, kind) *
           (streams * layer->group_passes +
            (kind->solves ? layer->solved_passes : layer->compensated_passes) + products * layer->products);
}

// A trial of each of the guard's choices. Of least squares two: factors are only tried where it fails.
static double guarding_work(const struct sizes *sizes, const struct unit *unit,
                            const struct compensation_kind *kind)
{
    const struct layer_size *layer = layer_of(sizes, unit);
    struct guard_choice choices[GUARD_CHOICES];
    size_t count = guard_choices(choices, unit->variant, kind);

    if (kind->solves && count > 2)
        count = 2;
    return count < 2
               ? 0
               : (1 + (double)count) * layer->groups * judging_sequences(sizes->settings) * layer->forward;
}

// The equations are gathered from the sequences that are not held out.
static double equations_work(const struct sizes *sizes, const struct unit *unit)
{
    const struct settings *settings = sizes->settings;
    return layer_of(sizes, unit)->equations * (double)first_held_out(settings, unit->variant) /
           (double)settings->sequences;
}

static double splitting_work(const struct layer_size *layer, const struct variant *variant)
{
    const enum method method = variant->method;
    if (!(method_needs(method) & NEEDS_EQUATIONS))
        return 0;
    return split_steps(method) * layer->stepping + split_inverses(method) * layer->inverting;
}

// Masks and weights together: the weights are solved for twice, before and after they are pruned.
static double joint_work(const struct sizes *sizes, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(sizes, unit);
    const struct compensation_kind kind = joint_kind();
    return equations_work(sizes, unit) + 2 * layer->solving + splitting_work(layer, unit->variant) +
           measuring_work(sizes, unit, &kind) + guarding_work(sizes, unit, &kind);
}

// Orders of channels; the method auto has one for each candidate, and the chosen one's once more.
static struct order_cost ordering_work(const struct sizes *sizes, const struct unit *unit)
{
    struct order_cost cost = ordering_of(sizes, (size_t)unit->layer, unit->variant);
    size_t candidates = 0;

    if (variant_chooses(unit->variant))
        importance_candidates(&candidates);
    cost.gains *= (double)(candidates + 1);
    cost.exchanges *= (double)(candidates + 1);
    return cost;
}

double work_score(const struct sizes *sizes, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(sizes, unit);
    const struct order_cost ordering = ordering_work(sizes, unit);
    double work = score_work(layer->pruned) + ordering.gains + ordering.exchanges;

    if (variant_is_joint(unit->variant))
        work += joint_work(sizes, unit);

    if (method_needs(unit->variant->method) & NEEDS_HESSIAN)
        work += layer->factoring + layer->correcting;
    if (variant_chooses(unit->variant))
        work += choosing_work(sizes, layer);
    return work;
}

// How many of the streams that a unit reads come from the store: those that are not in the memory of its
// team. Those of the dense model that several variants read were made by another one.
static double stored_streams(const struct sizes *sizes, const struct unit *unit, double streams)
{
    if (unit->layer == 0)
        return 0;
    if (!states_are_carried(sizes) || sizes->settings->propagation == PROPAGATION_DENSE)
        return streams;
    return streams > 1 && dense_stream_is_kept(sizes->settings) ? 1 : 0;
}

static void choose(const struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);
    const double sequences = judging_sequences(w->sizes->settings);

    spend_dense_layer(w, e, layer); // the second copy of the layer
    spend_reading(w, e, stored_streams(w->sizes, unit, 1) * (1 + 4) * hidden_bytes(w->sizes, sequences));
    spend_passes(w, e, sequences, choosing_work(w->sizes, layer));
    spend_agreeing(w, e, 4 * ceil(sequences / w->ranks) * 2);
}

// sparsegpt: each node factors the Hessians, all correct their rows.
static void prune_by_second_order(const struct worker *w, struct estimate *e, const struct layer_size *layer,
                                  const struct variant *variant)
{
    // In double, and triangles and products of few rows are slower than those of a forward pass.
    const double flops = w->machine->flops / 3;
    spend_reading(w, e, layer->hessian);
    spend_reading_everywhere(w, e, layer->hessian);
    spend(e, PART_ARITHMETIC, (layer->factoring * w->copies + layer->correcting) / (w->ranks * flops));
    // A block's threshold is found digit by digit, in histograms of all ranks.
    if (!variant->is_pattern) {
        const double sums = SELECT_DIGITS * ceil(layer->columns / SECOND_ORDER_COLUMNS);
        e->sent += 2 * (w->ranks - 1) * sums * SELECT_BINS * (double)sizeof(uint64_t);
        spend_agreeing(w, e, sums);
    }
    spend_sweep(w, e, layer->pruned, variant->is_pattern ? w->machine->correct_groups : w->machine->correct,
                score_traffic);
    spend_file(w, e, layer->updates, layer->linears);
}

// Every node finds the orders for itself; an assignment is one rank's.
static void find_orders(const struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct order_cost cost = ordering_work(w->sizes, unit);
    const double node_ranks = w->nodes > 1 ? w->ranks / w->nodes : w->ranks;

    spend(e, PART_ARITHMETIC, (cost.gains / node_ranks + cost.exchanges) / w->machine->flops);
}

// Compensation passes sequences through the layer for each of its inputs, of experts for many at a time.
static void measure(const struct worker *w, struct estimate *e, const struct unit *unit,
                    const struct compensation_kind *kind)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);
    const double sequences = measured_sequences(w->sizes, kind), streams = kind->matches ? 2 : 1;
    const double inputs = layer->groups + (kind->solves ? layer->solved_batches : layer->compensated_batches);

    spend_dense_layer(w, e, layer); // the second copy of the layer
    spend_reading(w, e,
                  stored_streams(w->sizes, unit, streams) * (1 + inputs) * hidden_bytes(w->sizes, sequences));
    spend_passes(w, e, sequences, measuring_work(w->sizes, unit, kind));
    spend_passes(w, e, judging_sequences(w->sizes->settings), guarding_work(w->sizes, unit, kind));
    spend_agreeing(w, e, inputs * ceil(sequences / w->ranks) * 2);
}

// Least squares: the inputs of every sequence go to all ranks, which add their tiles of the equations; then
// each solves for its rows `times` over.
static void solve(const struct worker *w, struct estimate *e, const struct unit *unit, double times)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);
    const struct settings *settings = w->sizes->settings;
    const double sequences = (double)first_held_out(settings, unit->variant), inputs = layer->gatherings;
    const double bytes = 2 * sequences * (double)settings->length * layer->channels * (double)sizeof(float);

    spend_waves(w, e, sequences, equations_work(w->sizes, unit));
    spend_computing(w, e, times * layer->solving / w->ranks);
    spend_reading(w, e, stored_streams(w->sizes, unit, 2) * inputs * hidden_bytes(w->sizes, sequences));
    e->sent += bytes * (w->ranks - 1);
    spend_sending(w, e, inputs * sequences, 1);
    if (w->nodes > 1)
        spend(e, PART_NETWORK, bytes / w->machine->network);
    spend_agreeing(w, e, inputs * ceil(sequences / w->ranks) * 3);
}

// admm and alps: each node inverts, in double; all step with their rows, and agree some times in each step.
static void split(const struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);
    const double inverting = split_inverses(unit->variant->method) * layer->inverting;
    const double all = splitting_work(layer, unit->variant);

    if (all == 0)
        return;
    spend(e, PART_ARITHMETIC, inverting * w->nodes / (w->ranks * w->machine->flops / 2));
    spend_computing(w, e, (all - inverting) / w->ranks);
    spend_agreeing(w, e, 5 * split_steps(unit->variant->method) * layer->gatherings);
}

// So many numbers of each input channel of the pruned linears.
static void gather_columns(const struct worker *w, struct estimate *e, const struct layer_size *layer,
                           double numbers)
{
    spend_gathering(w, e, numbers * layer->linears, numbers * layer->columns * (double)sizeof(double));
}

void time_score(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);

    spend_loading(w, e, (size_t)unit->layer, NULL);
    const unsigned needs = method_needs(unit->variant->method);
    if (!variant_is_joint(unit->variant)) {
        spend_reading(w, e, layer->statistics);
        spend_opening(w, e);
    }
    gather_columns(w, e, layer,
                   ((needs & NEEDS_COLUMN_VARIANCE) != 0) + ((needs & NEEDS_ABSOLUTE_SUMS) != 0));
    if (needs & NEEDS_HESSIAN)
        prune_by_second_order(w, e, layer, unit->variant);
    if (variant_chooses(unit->variant))
        choose(w, e, unit);
    if (variant_is_joint(unit->variant)) {
        const struct compensation_kind kind = joint_kind();
        solve(w, e, unit, 2);
        split(w, e, unit);
        measure(w, e, unit, &kind);
        spend_file(w, e, layer->updates, layer->linears);
    }
    if (unit->variant->permute)
        find_orders(w, e, unit);
    spend_sweep(w, e, layer->pruned, w->machine->score, score_traffic);
    spend_file(w, e, layer->masks + (unit->variant->permute ? layer->orders : 0), layer->linears);
    spend_agreeing(w, e, 8 * layer->linears);
}

// ---- compensate -----------------------------------------------------------------------------------------

double work_compensate(const struct sizes *sizes, const struct unit *unit)
{
    double work = compensate_work(layer_of(sizes, unit)->pruned);
    const struct compensation_kind kind = compensation_kind_of(unit->variant);
    if (kind.solves)
        work += equations_work(sizes, unit) + layer_of(sizes, unit)->solving;
    if (kind.measures)
        work += measuring_work(sizes, unit, &kind) + guarding_work(sizes, unit, &kind);
    return work;
}

void time_compensate(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);

    spend_loading(w, e, (size_t)unit->layer, NULL);
    // Columns run over all rows, so that every rank reads all masks; the file system sees one a node.
    spend_reading(w, e, layer->masks);
    spend_reading_everywhere(w, e, layer->masks);
    spend_opening(w, e);
    if (unit->variant->energy_columns)
        gather_columns(w, e, layer, 2);
    // The energies of a row, and its factor.
    spend_gathering(w, e, 4 * layer->linears, 4 * layer->rows * (double)sizeof(double));
    spend_sweep(w, e, layer->pruned, w->machine->compensate, compensate_traffic);
    const struct compensation_kind kind = compensation_kind_of(unit->variant);
    if (kind.solves)
        solve(w, e, unit, 1);
    if (kind.measures)
        measure(w, e, unit, &kind);
    spend_file(w, e, weights_file_bytes(layer, unit->variant), weights_file_datasets(layer, unit->variant));
    spend_agreeing(w, e, 15 * layer->linears);
}
