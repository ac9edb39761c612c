#include "pipeline/plan/costs/unit_cost.h"

#include "pipeline/plan/costs/stage_costs.h"
#include "stages/layer/hessian.h"
#include "stages/team/pieces.h"

#include <math.h>

// ---- sequences ------------------------------------------------------------------------------------------

double work_sequences(const struct sizes *sizes, const struct unit *unit)
{
    (void)sizes, (void)unit;
    return 0; // reading text, of which the plan knows nothing
}

void time_sequences(struct worker *w, struct estimate *e, const struct unit *unit)
{
    (void)w, (void)e, (void)unit;
}

double work_held_out(const struct sizes *sizes, const struct unit *unit)
{
    return work_sequences(sizes, unit);
}

void time_held_out(struct worker *w, struct estimate *e, const struct unit *unit)
{
    time_sequences(w, e, unit);
}

// ---- calibrate, propagate: all sequences through one layer ------------------------------------------------

double work_propagate(const struct sizes *sizes, const struct unit *unit)
{
    return (double)sizes->settings->sequences * layer_of(sizes, unit)->forward;
}

double work_calibrate(const struct sizes *sizes, const struct unit *unit)
{
    const bool hessian = stream_needs_hessian(sizes->settings, unit->variant);
    return work_propagate(sizes, unit) + (hessian ? layer_of(sizes, unit)->gathering : 0);
}

// A dense layer was fetched while the one before was computed with (stages/layer/read_ahead.h), in as much
// time.
static void load_ahead(struct worker *w, struct estimate *e, const struct unit *unit)
{
    struct estimate loading = {0};

    spend_loading(w, &loading, (size_t)unit->layer, NULL);
    if (unit->layer > 0)
        overlap_reading(&loading, e->parts[PART_ARITHMETIC]);
    add_estimate(e, &loading);
}

static void pass_sequences(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const double sequences = (double)w->sizes->settings->sequences;

    spend_passes(w, e, sequences, work_propagate(w->sizes, unit));
    if (unit->layer > 0 && !states_are_carried(w->sizes)) {
        spend_reading(w, e, 2 * hidden_bytes(w->sizes, sequences)); // once for the checksum
        spend_opening(w, e);
    }
    spend_agreeing(w, e, ceil(sequences / w->ranks) + 1);
}

// What a layer takes from one propagation of a variant's own states to the next, beside that itself.
static double seconds_between(const struct worker *w, const struct unit *unit)
{
    static const enum stage_kind stages[] = {STAGE_CALIBRATE, STAGE_SCORE, STAGE_COMPENSATE};
    const struct settings *settings = w->sizes->settings;
    const struct variant *variant = unit->variant;
    struct estimate e = {0};

    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        struct worker other = *w;
        struct unit before = *unit;
        before.stage = stages[i];
        if (variant != NULL && settings->propagation == PROPAGATION_PRUNED &&
            (stages[i] != STAGE_CALIBRATE || !variant_is_joint(variant)) &&
            (stages[i] != STAGE_COMPENSATE || weights_are_written(settings, variant)))
            unit_time(&other, &e, &before);
    }
    return e.seconds;
}

// Each wave of sequences is written when it is through; of states that stay in memory, those of one layer in
// so many as take `states_every`.
static void spend_hidden_states(const struct worker *w, struct estimate *e, const struct unit *unit)
{
    const double sequences = (double)w->sizes->settings->sequences;
    const double every = (double)w->sizes->settings->states_every;
    const struct variant *owner = stream_owner(w->sizes->settings, unit->variant);
    struct estimate writing = {0};

    spend_file(w, &writing, hidden_bytes(w->sizes, sequences), 1);
    spend_agreeing(w, &writing, ceil(sequences / w->ranks) * 2);
    if (!states_are_stored(w->sizes, owner))
        scale_estimate(&writing, fmin((e->seconds + seconds_between(w, unit)) / every, 1));
    add_estimate(e, &writing);
}

// Each rank sends every other its slice of each sequence's sums; then all get all totals.
static void sum_statistics(const struct worker *w, struct estimate *e, const struct layer_size *layer)
{
    const double sequences = (double)w->sizes->settings->sequences, waves = ceil(sequences / w->ranks);
    const double vector = 3 * layer->channels * (double)sizeof(double);
    const double senders = w->ranks < sequences ? w->ranks : sequences;
    const double pieces = ceil(vector / sizeof(double) / w->ranks / (double)ORDERED_SUM_PIECE);
    const double busy = ceil(senders / w->nodes); // of the ranks of one node
    const double sent = vector * (w->ranks - 1) / w->ranks;

    e->sent += sequences * sent;
    e->messages += sequences * (w->ranks - 1) * pieces;
    if (w->nodes > 1)
        spend(e, PART_NETWORK, waves * busy * sent / w->machine->network);
    spend(e, PART_WAITING, waves * (w->ranks - 1) * pieces * w->machine->latency);
    spend_gathering(w, e, 1, vector);
}

// Every sequence's inputs go to all ranks, which add their rows of x x^T, the upper triangle.
static void gather_hessians(const struct worker *w, struct estimate *e, const struct layer_size *layer)
{
    const struct settings *settings = w->sizes->settings;
    const double sequences = (double)settings->sequences;
    const double inputs = sequences * (double)settings->length * layer->channels * (double)sizeof(float);

    spend_computing(w, e, layer->gathering / w->ranks);
    e->sent += inputs * (w->ranks - 1);
    spend_sending(w, e, sequences, layer->hessians);
    if (w->nodes > 1)
        spend(e, PART_NETWORK, inputs / w->machine->network);
    spend_file(w, e, layer->hessian, layer->hessians);
}

void time_calibrate(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct settings *settings = w->sizes->settings;
    const struct layer_size *layer = layer_of(w->sizes, unit);
    const bool is_last = (size_t)unit->layer + 1 == w->sizes->num_layers;

    pass_sequences(w, e, unit);
    load_ahead(w, e, unit);
    if (w->ranks > 1)
        sum_statistics(w, e, layer);
    if (stream_needs_hessian(settings, unit->variant))
        gather_hessians(w, e, layer);
    if ((settings->propagation == PROPAGATION_DENSE || unit->variant == NULL) && !is_last)
        spend_hidden_states(w, e, unit);
    // Of each input its count, mean, variance, second moment and largest value.
    spend_file(w, e, layer->statistics, 5 * layer->inputs);
}

void time_propagate(struct worker *w, struct estimate *e, const struct unit *unit)
{
    pass_sequences(w, e, unit);
    if (unit->variant == NULL)
        load_ahead(w, e, unit);
    else
        spend_loading(w, e, (size_t)unit->layer, unit->variant);
    spend_hidden_states(w, e, unit);
}

// ---- export ---------------------------------------------------------------------------------------------

double work_export(const struct sizes *sizes, const struct unit *unit)
{
    (void)unit;
    return (double)checkpoint_bytes(sizes->model->checkpoint);
}

void time_export(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const double bytes = work_export(w->sizes, unit), beside = (double)w->sizes->side_files;
    double checked = 0, linears = 0; // checked: the checksums of the variant's files

    for (size_t layer = 0; layer < w->sizes->num_layers; layer++) {
        const struct layer_size *size = &w->sizes->layers[layer];
        checked += weights_file_bytes(size, unit->variant) + size->masks;
        linears += size->linears;
    }
    // The export is read back, and compared with its source and the variant's files.
    spend_reading(w, e, 3 * bytes + 2 * checked + beside);
    spend_writing(w, e, bytes + beside);
    // A linear's mask is looked for as it is applied, as that is read back, and for coppice.json.
    spend(e, PART_READING, 2 * linears * w->machine->dataset);
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
