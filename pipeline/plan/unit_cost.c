#include "pipeline/plan/unit_cost.h"

#include "kernels/pruning/candidates.h"
#include "kernels/pruning/select.h"
#include "stages/budget/held_out.h"
#include "stages/compensate/guard.h"
#include "stages/evaluate/perplexity.h"
#include "stages/evaluate/tasks.h"
#include "stages/layer/hessian.h"
#include "stages/layer/layer_trial.h"
#include "stages/layer/model_trial.h"
#include "stages/prune/curve_file.h"
#include "stages/prune/curves.h"
#include "stages/stage.h"
#include "stages/team/pieces.h"
#include "stages/work.h"

#include <math.h>
#include <string.h>

// Bytes of the hidden states of `sequences` calibration sequences.
static double hidden_bytes(const struct sizes *sizes, double sequences)
{
    return sequences * (double)sizes->settings->length * (double)sizes->model->config.decoder.hidden_size *
           (double)sizeof(float);
}

static const struct layer_size *layer_of(const struct sizes *sizes, const struct unit *unit)
{
    return &sizes->layers[unit->layer];
}

// ---- sequences ------------------------------------------------------------------------------------------

static double work_sequences(const struct sizes *sizes, const struct unit *unit)
{
    (void)sizes, (void)unit;
    return 0; // reading text, of which the plan knows nothing
}

static void time_sequences(struct worker *w, struct estimate *e, const struct unit *unit)
{
    (void)w, (void)e, (void)unit;
}

static double work_held_out(const struct sizes *sizes, const struct unit *unit)
{
    return work_sequences(sizes, unit);
}

static void time_held_out(struct worker *w, struct estimate *e, const struct unit *unit)
{
    time_sequences(w, e, unit);
}

// ---- calibrate, propagate: all sequences through one layer ------------------------------------------------

static double work_propagate(const struct sizes *sizes, const struct unit *unit)
{
    return (double)sizes->settings->sequences * layer_of(sizes, unit)->forward;
}

static double work_calibrate(const struct sizes *sizes, const struct unit *unit)
{
    const bool hessian = stream_needs_hessian(sizes->settings, unit->variant);
    return work_propagate(sizes, unit) + (hessian ? layer_of(sizes, unit)->gathering : 0);
}

static void pass_sequences(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const double sequences = (double)w->sizes->settings->sequences;

    spend_waves(w, e, sequences, work_propagate(w->sizes, unit));
    if (unit->layer > 0)
        spend_reading(w, e, 2 * hidden_bytes(w->sizes, sequences)); // once for the checksum
    spend_agreeing(w, e, ceil(sequences / w->ranks) * 2);
}

// Each rank sends every other its slice of each sequence's sums; then all get all totals.
static void sum_statistics(const struct worker *w, struct estimate *e, const struct layer_size *layer)
{
    const double sequences = (double)w->sizes->settings->sequences, waves = ceil(sequences / w->ranks);
    const double vector = 3 * layer->channels * (double)sizeof(double);
    const double senders = w->ranks < sequences ? w->ranks : sequences;
    const double pieces = ceil(vector / sizeof(double) / w->ranks / ORDERED_SUM_PIECE);
    const double busy = ceil(senders / w->nodes); // of the ranks of one node
    const double sent = vector * (w->ranks - 1) / w->ranks;

    e->sent += sequences * sent + w->ranks * sent;
    e->messages += sequences * (w->ranks - 1) * pieces;
    if (w->nodes > 1)
        spend(e, PART_NETWORK, (waves * busy + 1) * sent / w->machine->network);
    spend(e, PART_WAITING, waves * (w->ranks - 1) * pieces * w->machine->latency);
}

// Every sequence's inputs go to all ranks, which add their rows of x x^T, the upper triangle.
static void gather_hessians(const struct worker *w, struct estimate *e, const struct layer_size *layer)
{
    const struct settings *settings = w->sizes->settings;
    const double sequences = (double)settings->sequences;
    const double inputs = sequences * (double)settings->length * layer->channels * (double)sizeof(float);

    spend_computing(w, e, layer->gathering / w->ranks);
    e->sent += inputs * (w->ranks - 1);
    e->messages += sequences * (w->ranks - 1);
    if (w->nodes > 1)
        spend(e, PART_NETWORK, inputs / w->machine->network);
    spend_file(w, e, layer->hessian);
}

static void time_calibrate(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct settings *settings = w->sizes->settings;
    const struct layer_size *layer = layer_of(w->sizes, unit);
    const bool is_last = (size_t)unit->layer + 1 == w->sizes->num_layers;

    spend_loading(w, e, (size_t)unit->layer, NULL);
    pass_sequences(w, e, unit);
    if (w->ranks > 1)
        sum_statistics(w, e, layer);
    if (stream_needs_hessian(settings, unit->variant))
        gather_hessians(w, e, layer);
    if ((settings->propagation == PROPAGATION_DENSE || unit->variant == NULL) && !is_last)
        spend_file(w, e, hidden_bytes(w->sizes, (double)settings->sequences));
    spend_file(w, e, layer->statistics);
}

static void time_propagate(struct worker *w, struct estimate *e, const struct unit *unit)
{
    spend_loading(w, e, (size_t)unit->layer, unit->variant);
    pass_sequences(w, e, unit);
    spend_file(w, e, hidden_bytes(w->sizes, (double)w->sizes->settings->sequences));
}

// ---- outliers -------------------------------------------------------------------------------------------

// Variants share the files of their allocation, which are work for the first of them.
static bool is_of_another_variant(const struct sizes *sizes, const struct unit *unit)
{
    char path[PATH_SIZE], other[PATH_SIZE];

    unit_path(path, unit, sizes->settings);
    for (const struct variant *v = sizes->settings->variants; v < unit->variant; v++) {
        const struct unit same = {.stage = unit->stage, .variant = v, .layer = unit->layer};
        if (allocation_stage(v) != unit->stage)
            continue;
        unit_path(other, &same, sizes->settings);
        if (strcmp(path, other) == 0)
            return true;
    }
    return false;
}

static double work_outliers(const struct sizes *sizes, const struct unit *unit)
{
    return is_of_another_variant(sizes, unit) ? 0 : score_work(layer_of(sizes, unit)->pruned);
}

// Scores are computed twice: for their mean, and to count those far above it.
static void time_outliers(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);

    if (is_of_another_variant(w->sizes, unit))
        return;
    spend_loading(w, e, (size_t)unit->layer, NULL);
    spend_reading(w, e, layer->statistics);
    spend_sweep(w, e, 2 * layer->pruned, w->machine->score, score_traffic);
    spend_file(w, e, 256);
    spend_agreeing(w, e, 4 * layer->linears);
}

// ---- medians ----------------------------------------------------------------------------------------------

static double work_medians(const struct sizes *sizes, const struct unit *unit)
{
    return work_outliers(sizes, unit);
}

// The digits of the median are found in a pass over the scores each.
static void time_medians(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);

    if (is_of_another_variant(w->sizes, unit))
        return;
    spend_loading(w, e, (size_t)unit->layer, NULL);
    spend_reading(w, e, (1 + SELECT_DIGITS) * layer->statistics);
    spend_sweep(w, e, SELECT_DIGITS * layer->pruned, w->machine->score, score_traffic);
    spend_file(w, e, 256);
    spend_agreeing(w, e, (2 + 2 * SELECT_DIGITS) * layer->linears);
}

// ---- curves -----------------------------------------------------------------------------------------------

// Every curve's levels but the first, which is the dense model.
static double curve_candidates(const struct sizes *sizes, const struct unit *unit)
{
    return layer_of(sizes, unit)->curves * (CURVE_LEVELS - 1);
}

static double work_curves(const struct sizes *sizes, const struct unit *unit)
{
    struct trial_passes_work work = {.head = lm_head_work(sizes->model, (double)sizes->settings->length)};

    if (is_of_another_variant(sizes, unit) || curve_candidates(sizes, unit) == 0)
        return 0;
    for (size_t layer = 0; layer < sizes->num_layers; layer++)
        *(layer < (size_t)unit->layer ? &work.before : &work.after) += sizes->layers[layer].forward;
    return try_in_model_work(&work, (size_t)curve_candidates(sizes, unit),
                             curve_sequences(sizes->settings, unit->variant));
}

static void time_curves(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct sizes *sizes = w->sizes;
    const struct layer_size *layer = layer_of(sizes, unit);
    const double candidates = curve_candidates(sizes, unit),
                 sequences = (double)curve_sequences(sizes->settings, unit->variant);

    if (is_of_another_variant(sizes, unit) || candidates == 0)
        return;
    const struct trial_batches batches = trial_batches_of(
        sizes->model, sizes->settings->length, (size_t)sequences, (size_t)candidates, (size_t)w->ranks);
    const double groups = ceil(sequences / (w->ranks * (double)batches.group));
    const double sweeps = groups * ceil(candidates / (double)batches.batch);
    spend_waves(w, e, sequences, work_curves(sizes, unit));
    if (curves_are_solved(unit->variant)) // each alone and all together
        spend_computing(w, e, groups * (CURVE_LEVELS - 1) * 2 * layer->solving / w->ranks);
    spend_loading(w, e, (size_t)unit->layer, NULL); // the copy that candidates are put into
    for (size_t l = 0; l < sizes->num_layers; l++) {
        struct worker alone = *w;
        const double times = groups + (l >= (size_t)unit->layer ? sweeps : 0);
        for (double time = 0; time < times; time++) {
            alone.loaded = 0;
            spend_loading(&alone, e, l, NULL);
        }
    }
    w->loaded = 0;
    spend_reading(w, e, groups * (CURVE_LEVELS - 1) * layer->statistics);
    spend_sweep(w, e, groups * (CURVE_LEVELS - 1) * layer->curved, w->machine->score, score_traffic);
    spend_file(w, e, 4096);
    spend_agreeing(w, e, groups * candidates * (8 + (double)sizes->num_layers));
}

// ---- score ----------------------------------------------------------------------------------------------

// Sequences that judge: those held out, or all where none can be.
static double judging_sequences(const struct settings *settings)
{
    const size_t held_out = held_out_sequences(settings);
    return (double)(held_out > 0 ? held_out : settings->sequences);
}

// The method auto: a mask of each candidate, and a trial of each.
static double choosing_work(const struct sizes *sizes, const struct layer_size *layer)
{
    size_t candidates;
    importance_candidates(&candidates);
    return score_work((double)candidates * layer->pruned) +
           trial_passes(candidates) * judging_sequences(sizes->settings) * layer->forward;
}

// Matching is fitted to all sequences of two streams; a guard alone looks at the held-out ones of one, and so
// does least squares, whose fit is made of other sums.
static double measured_sequences(const struct sizes *sizes, const struct variant *variant)
{
    const bool fits = variant_matches(variant) && (!variant_solves(variant) || variant->bias);
    return fits ? (double)sizes->settings->sequences : judging_sequences(sizes->settings);
}

static double measuring_work(const struct sizes *sizes, const struct unit *unit)
{
    return measuring_passes(unit->variant) * measured_sequences(sizes, unit->variant) *
           layer_of(sizes, unit)->forward;
}

// A trial of each of the guard's choices. Of least squares two: factors are only tried where it fails.
static double guarding_work(const struct sizes *sizes, const struct unit *unit)
{
    const struct compensation_kind kind = compensation_kind_of(unit->variant);
    struct guard_choice choices[GUARD_CHOICES];
    size_t count = guard_choices(choices, unit->variant, &kind);

    if (variant_solves(unit->variant))
        count = unit->variant->guard ? 2 : 1;
    return count < 2
               ? 0
               : trial_passes(count) * judging_sequences(sizes->settings) * layer_of(sizes, unit)->forward;
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
    return layer->equations + 2 * layer->solving + splitting_work(layer, unit->variant) +
           measuring_work(sizes, unit) + guarding_work(sizes, unit);
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

static double work_score(const struct sizes *sizes, const struct unit *unit)
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

static void choose(const struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);
    const double sequences = judging_sequences(w->sizes->settings);

    spend_reading_everywhere(w, e, layer->checkpoint); // the second copy of the layer
    if (unit->layer > 0)
        spend_reading(w, e, (1 + 4) * hidden_bytes(w->sizes, sequences));
    spend_waves(w, e, sequences, choosing_work(w->sizes, layer));
    spend_agreeing(w, e, 4 * ceil(sequences / w->ranks) * 2);
}

// sparsegpt: one rank of a node factors the Hessians on one thread, all correct their rows.
static void prune_by_second_order(const struct worker *w, struct estimate *e, const struct layer_size *layer)
{
    const double flops = w->machine->flops / 2; // in double
    spend_reading(w, e, layer->hessian);
    spend_reading_everywhere(w, e, layer->hessian);
    spend(e, PART_ARITHMETIC, layer->factoring / flops + layer->correcting / (w->ranks * flops));
    spend_file(w, e, layer->updates);
}

// Every node finds the orders for itself; an assignment is one rank's.
static void find_orders(const struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct order_cost cost = ordering_work(w->sizes, unit);
    const double node_ranks = w->nodes > 1 ? w->ranks / w->nodes : w->ranks;

    spend(e, PART_ARITHMETIC, (cost.gains / node_ranks + cost.exchanges) / w->machine->flops);
}

// Compensation passes sequences through the layer for each of its four inputs.
static void measure(const struct worker *w, struct estimate *e, const struct unit *unit)
{
    const double sequences = measured_sequences(w->sizes, unit->variant), inputs = 4;
    const double streams = variant_follows_dense(unit->variant) ? 2 : 1;

    spend_reading_everywhere(w, e, layer_of(w->sizes, unit)->checkpoint); // the second copy of the layer
    if (unit->layer > 0)
        spend_reading(w, e, streams * (1 + inputs) * hidden_bytes(w->sizes, sequences));
    spend_waves(w, e, sequences, measuring_work(w->sizes, unit));
    spend_waves(w, e, judging_sequences(w->sizes->settings), guarding_work(w->sizes, unit));
    spend_agreeing(w, e, inputs * ceil(sequences / w->ranks) * 2);
}

// Least squares: the inputs of every sequence go to all ranks, which add their tiles of the equations; then
// each solves for its rows `times` over.
static void solve(const struct worker *w, struct estimate *e, const struct unit *unit, double times)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);
    const struct settings *settings = w->sizes->settings;
    const double sequences = (double)settings->sequences, inputs = 4;
    const double bytes = 2 * sequences * (double)settings->length * layer->channels * (double)sizeof(float);

    spend_waves(w, e, sequences, layer->equations);
    spend_computing(w, e, times * layer->solving / w->ranks);
    if (unit->layer > 0)
        spend_reading(w, e, 2 * inputs * hidden_bytes(w->sizes, sequences));
    e->sent += bytes * (w->ranks - 1);
    e->messages += 2 * sequences * inputs * (w->ranks - 1);
    if (w->nodes > 1)
        spend(e, PART_NETWORK, bytes / w->machine->network);
    spend_agreeing(w, e, inputs * ceil(sequences / w->ranks) * 2);
}

// admm and alps: each node inverts, in double; all step with their rows.
static void split(const struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);
    const double inverting = split_inverses(unit->variant->method) * layer->inverting;
    const double all = splitting_work(layer, unit->variant);

    if (all == 0)
        return;
    spend(e, PART_ARITHMETIC, inverting * w->nodes / (w->ranks * w->machine->flops / 2));
    spend_computing(w, e, (all - inverting) / w->ranks);
    spend_agreeing(w, e, 4 * split_steps(unit->variant->method));
}

static void time_score(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);

    spend_loading(w, e, (size_t)unit->layer, NULL);
    if (!variant_is_joint(unit->variant))
        spend_reading(w, e, layer->statistics);
    if (method_needs(unit->variant->method) & NEEDS_HESSIAN)
        prune_by_second_order(w, e, layer);
    if (variant_chooses(unit->variant))
        choose(w, e, unit);
    if (variant_is_joint(unit->variant)) {
        solve(w, e, unit, 2);
        split(w, e, unit);
        measure(w, e, unit);
        spend_file(w, e, layer->updates);
    }
    if (unit->variant->permute)
        find_orders(w, e, unit);
    spend_sweep(w, e, layer->pruned, w->machine->score, score_traffic);
    spend_file(w, e, layer->masks + (unit->variant->permute ? layer->orders : 0));
    spend_agreeing(w, e, 10 * layer->linears);
}

// ---- compensate -----------------------------------------------------------------------------------------

static double work_compensate(const struct sizes *sizes, const struct unit *unit)
{
    double work = compensate_work(layer_of(sizes, unit)->pruned);
    if (variant_solves(unit->variant) && !variant_is_joint(unit->variant))
        work += layer_of(sizes, unit)->equations + layer_of(sizes, unit)->solving;
    if (variant_measures(unit->variant))
        work += measuring_work(sizes, unit) + guarding_work(sizes, unit);
    return work;
}

static void time_compensate(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_size *layer = layer_of(w->sizes, unit);

    spend_loading(w, e, (size_t)unit->layer, NULL);
    // Columns run over all rows, so that every rank reads all masks; the file system sees one a node.
    spend_reading(w, e, layer->masks);
    spend_reading_everywhere(w, e, layer->masks);
    spend_sweep(w, e, layer->pruned, w->machine->compensate, compensate_traffic);
    if (variant_solves(unit->variant) && !variant_is_joint(unit->variant))
        solve(w, e, unit, 1);
    if (variant_measures(unit->variant))
        measure(w, e, unit);
    spend_file(w, e, weights_file_bytes(layer, unit->variant));
    spend_agreeing(w, e, 10 * layer->linears);
}

// ---- evaluate, tasks --------------------------------------------------------------------------------------

// Through all layers and the head.
static double window_work(const struct sizes *sizes)
{
    double work = lm_head_work(sizes->model, (double)sizes->settings->evaluate_length);
    for (size_t layer = 0; layer < sizes->num_layers; layer++)
        work += sizes->layers[layer].window;
    return work;
}

static double work_evaluate(const struct sizes *sizes, const struct unit *unit)
{
    (void)unit;
    return planned_windows(sizes->settings) * window_work(sizes);
}

// A text that does not fit in memory goes through the layers in groups, each from the first layer on.
static void load_model(struct worker *w, struct estimate *e, const struct unit *unit, double groups)
{
    for (size_t layer = 0; layer < w->sizes->num_layers; layer++)
        for (double group = 0; group < groups; group++) {
            w->loaded = 0;
            spend_loading(w, e, layer, unit->variant);
        }
}

static void time_evaluate(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct sizes *sizes = w->sizes;
    const double windows = planned_windows(sizes->settings);
    const double in_memory = (double)perplexity_windows_in_memory(
        sizes->model, (size_t)windows, sizes->settings->evaluate_length, (size_t)w->ranks);

    load_model(w, e, unit, ceil(windows / (w->ranks * in_memory)));
    spend_waves(w, e, windows, work_evaluate(sizes, unit));
    spend_agreeing(w, e, (double)sizes->num_layers * ceil(windows / w->ranks));
}

// The end of a search only reads what the attempts wrote.
static bool is_measured(const struct unit *unit)
{
    return unit->variant == NULL || unit->variant->base != NULL;
}

static double work_attempt(const struct sizes *sizes, const struct unit *unit)
{
    double work = lm_head_work(sizes->model, (double)sizes->settings->length);
    for (size_t layer = 0; layer < sizes->num_layers; layer++)
        work += sizes->layers[layer].forward;
    return is_measured(unit) ? BUDGET_SEQUENCES * work : 0;
}

static void time_attempt(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct sizes *sizes = w->sizes;
    const double in_memory = (double)perplexity_windows_in_memory(sizes->model, BUDGET_SEQUENCES,
                                                                  sizes->settings->length, (size_t)w->ranks);

    if (!is_measured(unit))
        return;
    load_model(w, e, unit, ceil(BUDGET_SEQUENCES / (w->ranks * in_memory)));
    spend_waves(w, e, BUDGET_SEQUENCES, work_attempt(sizes, unit));
    spend_agreeing(w, e, (double)sizes->num_layers * ceil(BUDGET_SEQUENCES / w->ranks));
}

// Of the few tokens whose likelihood counts the head is left out.
static double work_tasks(const struct sizes *sizes, const struct unit *unit)
{
    double work = 0;
    for (size_t layer = 0; layer < sizes->num_layers; layer++)
        work += sizes->layers[layer].forward / (double)sizes->settings->length;
    return work * task_file_tokens(&sizes->settings->tasks[unit->task]);
}

static void time_tasks(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct sizes *sizes = w->sizes;
    const double tokens = task_file_tokens(&sizes->settings->tasks[unit->task]);
    const double in_memory = (double)task_tokens_in_memory(sizes->model, PLAN_EXAMPLE_TOKENS);

    load_model(w, e, unit, ceil(tokens / (w->ranks * in_memory)));
    spend_computing(w, e, work_tasks(sizes, unit) / w->ranks);
    spend_agreeing(w, e, (double)sizes->num_layers * ceil(tokens / (w->ranks * PLAN_USUAL_EXAMPLE_TOKENS)));
}

// ---- export ---------------------------------------------------------------------------------------------

static double work_export(const struct sizes *sizes, const struct unit *unit)
{
    (void)unit;
    return (double)checkpoint_bytes(sizes->model->checkpoint);
}

static void time_export(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const double bytes = work_export(w->sizes, unit);
    double checked = 0; // the checksums of the variant's files

    for (size_t layer = 0; layer < w->sizes->num_layers; layer++)
        checked +=
            weights_file_bytes(&w->sizes->layers[layer], unit->variant) + w->sizes->layers[layer].masks;
    spend_reading(w, e, bytes + checked);
    spend_writing(w, e, bytes);
    spend(e, PART_WAITING, w->machine->commit * (double)w->sizes->model->checkpoint->num_shards);
}

// ---- any unit -------------------------------------------------------------------------------------------

double unit_work(const struct sizes *sizes, const struct unit *unit)
{
    static double (*const works[STAGE_COUNT])(const struct sizes *, const struct unit *) = {
#define WORK(kind, name, ...) [STAGE_##kind] = work_##name,
        STAGES(WORK)
#undef WORK
    };
    return works[unit->stage](sizes, unit);
}

void unit_time(struct worker *worker, struct estimate *estimate, const struct unit *unit)
{
    static void (*const times[STAGE_COUNT])(struct worker *, struct estimate *, const struct unit *) = {
#define TIME(kind, name, ...) [STAGE_##kind] = time_##name,
        STAGES(TIME)
#undef TIME
    };
    times[unit->stage](worker, estimate, unit);
}
