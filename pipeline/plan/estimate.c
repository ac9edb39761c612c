#include "pipeline/plan/estimate.h"

#include "io/model/layer_map.h"
#include "kernels/pruning/select.h"
#include "stages/evaluate/perplexity.h"
#include "stages/evaluate/tasks.h"
#include "stages/layer/hessian.h"
#include "stages/layer/layer_trial.h"
#include "stages/stage.h"
#include "stages/team/pieces.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *part_name(enum part part)
{
    static const char *const names[PART_COUNT] = {"arithmetic", "reading", "writing", "network", "waiting"};
    return names[part];
}

// What a layer comes to, from shapes alone.
struct layer_shape {
    double checkpoint; // bytes of all its tensors
    double pruned;     // weights in pruned linears
    double weights;    // bytes of them in the model's dtype
    double masks;      // bytes of their masks
    double statistics; // bytes of the statistics file
    double channels;   // of all statistics sources
    double hessian;    // values of the Hessians of all sources: channels squared
    double factoring;  // operations in double for their factors: 2/3 channels cubed
    double correcting; // operations in double for the weights behind a pruned column: out * in^2
    double forward;    // operations of one calibration sequence
    double linears;
};

static enum status measure_layer(struct layer_shape *shape, const struct plan *plan, size_t layer,
                                 struct error *err)
{
    struct layer_map map;

    memset(shape, 0, sizeof *shape);
    FORWARD_IF_ERROR(layer_map_create(&map, plan->model, layer, err));
    shape->forward = layer_forward_work(plan->model, &map, plan->settings->length);
    for (size_t i = 0; i < map.num_sources; i++) {
        const double channels = (double)map.source_channels[i];
        shape->channels += channels;
        shape->hessian += channels * channels;
        shape->factoring += 2.0 / 3 * channels * channels * channels;
    }
    for (size_t i = 0; i < map.num_tensors; i++) {
        const struct layer_tensor *tensor = &map.tensors[i];
        const double count = (double)tensor->out * (double)tensor->in;
        if (tensor->tensor != NULL)
            shape->checkpoint += (double)(tensor->tensor->end - tensor->tensor->begin);
        if (tensor->linear[0] != '\0')
            shape->statistics += 4.0 * sizeof(double) * (double)tensor->in;
        if (!tensor_is_pruned(plan->settings, layer, tensor))
            continue;
        shape->pruned += count;
        shape->weights += count * (double)dtype_size(tensor->tensor->dtype);
        shape->masks += (double)tensor->out * (double)mask_row_bytes(tensor->in);
        shape->correcting += count * (double)tensor->in;
        shape->linears++;
    }
    layer_map_free(&map);
    return STATUS_OK;
}

// Bytes to and from memory for each weight: what limits a node whose cores are all busy. Scoring reads the
// float32 weight for its columns and for its rows; compensation twice each, and writes; expanding reads bf16
// and writes float32, which is read first.
static const double score_traffic = 8, compensate_traffic = 18, convert_traffic = 10;

// The model of one team at work.
struct worker {
    const struct plan *plan;
    const struct machine *machine;
    const struct layer_shape *shapes;
    double nodes, ranks;          // of the team
    double node_read, node_write; // bytes a second of one node while all that work are busy
    // What is in the node's shared memory, as layer_weights.c keeps it: 1 + layer, and whose.
    size_t loaded;
    const struct variant *loaded_variant;
};

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

// Operations a second of one rank in a forward pass: Amdahl's law over its threads.
static double rank_flops(const struct machine *machine)
{
    return machine->flops / (machine->serial + (1 - machine->serial) / (double)machine->threads);
}

// Seconds of the team for `weights` weights at `rate` a second and core, if memory keeps up. Threads do not
// help.
static double sweep(const struct worker *w, double weights, double rate, double traffic)
{
    return weights / smaller(rate * w->ranks, w->machine->memory / traffic * w->nodes);
}

static void spend(struct estimate *e, enum part part, double seconds)
{
    e->parts[part] += seconds;
    e->seconds += seconds;
}

// Each node reads `bytes`.
static void read_on_every_node(const struct worker *w, struct estimate *e, double bytes)
{
    e->read += bytes * w->nodes;
    spend(e, PART_READING, bytes / w->node_read);
}

// The team reads `bytes` together.
static void read_together(const struct worker *w, struct estimate *e, double bytes)
{
    read_on_every_node(w, e, bytes / w->nodes);
}

// A file of the store: written together, read back, committed.
static void write_file(const struct worker *w, struct estimate *e, double bytes)
{
    e->written += bytes;
    spend(e, PART_WRITING, bytes / (w->nodes * w->node_write));
    read_together(w, e, bytes);
    spend(e, PART_WAITING, w->machine->commit);
}

// `count` agreements of the team: a tree up and a tree down.
static void agree(const struct worker *w, struct estimate *e, double count)
{
    e->messages += count * 2 * (w->ranks - 1);
    spend(e, PART_WAITING, count * 2 * ceil(log2(w->ranks)) * w->machine->latency);
}

static void load_layer(struct worker *w, struct estimate *e, size_t layer, const struct variant *variant)
{
    const struct layer_shape *shape = &w->shapes[layer];

    if (w->loaded == layer + 1 && w->loaded_variant == variant)
        return;
    w->loaded = layer + 1;
    w->loaded_variant = variant;
    read_on_every_node(w, e, shape->checkpoint);
    if (variant != NULL) // its checksum
        read_together(w, e, weights_are_written(w->plan->settings, variant) ? shape->weights : shape->masks);
    // Every node expands the whole layer.
    spend(e, PART_ARITHMETIC,
          sweep(w, w->nodes * shape->checkpoint / 2, w->machine->convert / 2, convert_traffic));
    agree(w, e, 2);
}

// Calibration and propagation: all sequences through one layer, one a rank in each wave.
static void pass_sequences(struct worker *w, struct estimate *e, const struct unit *unit, bool sums,
                           bool output)
{
    const struct settings *settings = w->plan->settings;
    const struct layer_shape *shape = &w->shapes[unit->layer];
    const double sequences = (double)settings->sequences, waves = ceil(sequences / w->ranks);
    const double hidden = sequences * (double)settings->length *
                          (double)w->plan->model->config.decoder.hidden_size * (double)sizeof(float);
    const double vector = 3 * shape->channels * (double)sizeof(double);

    load_layer(w, e, (size_t)unit->layer, unit->stage == STAGE_PROPAGATE ? unit->variant : NULL);
    spend(e, PART_ARITHMETIC, waves * shape->forward / rank_flops(w->machine));
    if (unit->layer > 0)
        read_together(w, e, 2 * hidden); // once for the checksum
    agree(w, e, waves * 2);
    if (sums && w->ranks > 1) {
        // Each rank sends every other its slice of each sequence's sums; then all get all totals.
        const double senders = smaller(w->ranks, sequences);
        const double pieces = ceil(vector / sizeof(double) / w->ranks / ORDERED_SUM_PIECE);
        const double busy = ceil(senders / w->nodes); // of the ranks of one node
        const double sent = vector * (w->ranks - 1) / w->ranks;
        e->sent += sequences * sent + w->ranks * sent;
        e->messages += sequences * (w->ranks - 1) * pieces;
        if (w->nodes > 1)
            spend(e, PART_NETWORK, (waves * busy + 1) * sent / w->machine->network);
        spend(e, PART_WAITING, waves * (w->ranks - 1) * pieces * w->machine->latency);
    }
    if (sums && stream_needs_hessian(settings, unit->variant)) {
        // Every sequence's inputs go to all ranks, which add their rows of x x^T, the upper triangle.
        const double inputs = sequences * (double)settings->length * shape->channels * (double)sizeof(float);
        spend(e, PART_ARITHMETIC,
              sequences * (double)settings->length * shape->hessian / (w->ranks * rank_flops(w->machine)));
        e->sent += inputs * (w->ranks - 1);
        e->messages += sequences * (w->ranks - 1);
        if (w->nodes > 1)
            spend(e, PART_NETWORK, inputs / w->machine->network);
        write_file(w, e, shape->hessian * (double)sizeof(double));
    }
    if (output)
        write_file(w, e, hidden);
    if (sums)
        write_file(w, e, shape->statistics);
}

// What compensation passes through the layer, once a source: of one stream what is held out, or of two all;
// and what is held out with each choice of the guard.
static void measure(const struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct settings *settings = w->plan->settings;
    const struct layer_shape *shape = &w->shapes[unit->layer];
    const bool matches = variant_matches(unit->variant);
    const double sequences = ceil((double)settings->sequences / (matches ? 1 : 8)), passes = 4;
    const double hidden = sequences * (double)settings->length *
                          (double)w->plan->model->config.decoder.hidden_size * (double)sizeof(float);
    const double waves = ceil(sequences / w->ranks), work = (unit->work - 16 * shape->pruned) / sequences;

    read_on_every_node(w, e, shape->checkpoint); // the second copy of the layer
    if (unit->layer > 0)
        read_together(w, e, (matches ? 2 : 1) * (1 + passes) * hidden);
    spend(e, PART_ARITHMETIC, waves * work / rank_flops(w->machine));
    agree(w, e, passes * waves * 2);
}

// The method auto: what is held out passes through the layer once for each candidate and input.
static void choose(const struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct settings *settings = w->plan->settings;
    const struct layer_shape *shape = &w->shapes[unit->layer];
    const double sequences = ceil((double)settings->sequences / HELD_OUT_DIVISOR);
    const double waves = ceil(sequences / w->ranks);
    const double hidden = sequences * (double)settings->length *
                          (double)w->plan->model->config.decoder.hidden_size * (double)sizeof(float);

    read_on_every_node(w, e, shape->checkpoint); // the second copy of the layer
    if (unit->layer > 0)
        read_together(w, e, (1 + 4) * hidden);
    spend(e, PART_ARITHMETIC, waves * (unit->work - 4 * shape->pruned) / sequences / rank_flops(w->machine));
    agree(w, e, 4 * waves * 2);
}

// sparsegpt: one rank of a node factors the Hessians on one thread, all correct their rows.
static void prune_by_second_order(struct worker *w, struct estimate *e, const struct layer_shape *shape)
{
    const double flops = w->machine->flops / 2; // in double
    read_together(w, e, shape->hessian * (double)sizeof(double));
    read_on_every_node(w, e, shape->hessian * (double)sizeof(double));
    spend(e, PART_ARITHMETIC, shape->factoring / flops + shape->correcting / (w->ranks * flops));
    write_file(w, e, 4 * shape->pruned);
}

static void prune_layer(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_shape *shape = &w->shapes[unit->layer];

    load_layer(w, e, (size_t)unit->layer, NULL);
    if (unit->stage == STAGE_SCORE) {
        read_together(w, e, shape->statistics);
        if (method_needs(unit->variant->method) & NEEDS_HESSIAN)
            prune_by_second_order(w, e, shape);
        if (variant_chooses(unit->variant))
            choose(w, e, unit);
        spend(e, PART_ARITHMETIC, sweep(w, shape->pruned, w->machine->score, score_traffic));
        write_file(w, e, shape->masks);
    } else {
        // Columns run over all rows, so that every rank reads all masks; the file system sees one a node.
        read_together(w, e, shape->masks);
        read_on_every_node(w, e, shape->masks);
        spend(e, PART_ARITHMETIC, sweep(w, shape->pruned, w->machine->compensate, compensate_traffic));
        if (variant_measures(unit->variant))
            measure(w, e, unit);
        write_file(w, e, shape->weights);
    }
    agree(w, e, 10 * shape->linears);
}

static size_t evaluation_windows(const struct settings *settings)
{
    return (size_t)ceil(PLAN_EVALUATION_TOKENS / (double)settings->evaluate_length);
}

// Scores are computed twice: for their mean, and for what is above it.
static void count_outliers(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct layer_shape *shape = &w->shapes[unit->layer];

    if (unit->work == 0) // another variant's
        return;
    load_layer(w, e, (size_t)unit->layer, NULL);
    read_together(w, e, shape->statistics);
    spend(e, PART_ARITHMETIC, sweep(w, 2 * shape->pruned, w->machine->score, score_traffic));
    write_file(w, e, 256);
    agree(w, e, 4 * shape->linears);
}

static void evaluate(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct model *model = w->plan->model;
    const struct settings *settings = w->plan->settings;
    const size_t length = settings->evaluate_length;
    const double windows = (double)evaluation_windows(settings);
    const double in_memory =
        (double)perplexity_windows_in_memory(model, (size_t)windows, length, (size_t)w->ranks);
    const double groups = ceil(windows / (w->ranks * in_memory)), waves = ceil(windows / w->ranks);
    const double scale = (double)length / (double)settings->length;
    const double head =
        2.0 * (double)length * (double)model->config.decoder.hidden_size * (double)model->config.vocab_size;

    for (size_t layer = 0; layer < model->config.num_hidden_layers; layer++) {
        for (double group = 0; group < groups; group++) {
            w->loaded = 0; // each group begins at the first layer again
            load_layer(w, e, layer, unit->variant);
        }
        spend(e, PART_ARITHMETIC, waves * scale * w->shapes[layer].forward / rank_flops(w->machine));
        agree(w, e, waves);
    }
    spend(e, PART_ARITHMETIC, waves * head / rank_flops(w->machine));
}

static void evaluate_tasks(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const struct model *model = w->plan->model;
    const struct settings *settings = w->plan->settings;
    const double tokens = plan_task_tokens(&settings->tasks[unit->task]);
    const double in_memory = (double)task_tokens_in_memory(model, PLAN_EXAMPLE_TOKENS);
    const double groups = ceil(tokens / (w->ranks * in_memory));

    for (size_t layer = 0; layer < model->config.num_hidden_layers; layer++) {
        const double forward = w->shapes[layer].forward / (double)settings->length;
        for (double group = 0; group < groups; group++) {
            w->loaded = 0;
            load_layer(w, e, layer, unit->variant);
        }
        spend(e, PART_ARITHMETIC, tokens * forward / (w->ranks * rank_flops(w->machine)));
        agree(w, e, ceil(tokens / (w->ranks * PLAN_USUAL_EXAMPLE_TOKENS)));
    }
}

static void export(struct worker *w, struct estimate *e)
{
    const double bytes = (double)checkpoint_bytes(w->plan->model->checkpoint);
    double checked = 0; // the checksums of the variant's files
    for (size_t layer = 0; layer < w->plan->model->config.num_hidden_layers; layer++)
        checked += w->shapes[layer].weights + w->shapes[layer].masks;
    read_together(w, e, bytes + checked);
    e->written += bytes;
    spend(e, PART_WRITING, bytes / (w->nodes * w->node_write));
    spend(e, PART_WAITING, w->machine->commit * (double)w->plan->model->checkpoint->num_shards);
}

static void carry_out(struct worker *w, struct estimate *e, const struct unit *unit)
{
    const bool last = unit->layer + 1 == (long)w->plan->model->config.num_hidden_layers;
    switch (unit->stage) {
    case STAGE_CALIBRATE:
        pass_sequences(w, e, unit, true,
                       (w->plan->settings->propagation == PROPAGATION_DENSE || unit->variant == NULL) &&
                           !last);
        return;
    case STAGE_PROPAGATE:
        pass_sequences(w, e, unit, false, true);
        return;
    case STAGE_OUTLIERS:
        count_outliers(w, e, unit);
        return;
    case STAGE_SCORE:
    case STAGE_COMPENSATE:
        prune_layer(w, e, unit);
        return;
    case STAGE_EVALUATE:
        evaluate(w, e, unit);
        return;
    case STAGE_TASKS:
        evaluate_tasks(w, e, unit);
        return;
    case STAGE_EXPORT:
        export(w, e);
        return;
    default:
        spend(e, PART_ARITHMETIC, unit->work / rank_flops(w->machine) / w->ranks);
        return;
    }
}

static void add(struct estimate *sum, const struct estimate *other)
{
    sum->seconds += other->seconds;
    for (int p = 0; p < PART_COUNT; p++)
        sum->parts[p] += other->parts[p];
    sum->read += other->read;
    sum->written += other->written;
    sum->sent += other->sent;
    sum->messages += other->messages;
}

// One phase, as teams.c splits it: its chains on at most one team a node. Time is the slowest team's.
static void estimate_phase(struct plan_estimate *estimate, struct worker *w, size_t phase,
                           struct estimate *teams)
{
    const struct plan *plan = w->plan;
    const size_t nodes = w->machine->nodes;
    const size_t chains = plan_chains(plan, phase), count = chains < nodes ? chains : nodes;
    const double useful = (double)plan_useful_ranks(plan, phase, ~0U, evaluation_windows(plan->settings));
    struct estimate slowest[STAGE_COUNT] = {0};
    double longest = -1;

    w->nodes = (double)nodes / (double)count;
    w->ranks = w->nodes * (double)w->machine->ranks_per_node;
    if (useful < w->ranks) {
        w->ranks = useful;
        w->nodes = smaller(w->nodes, ceil(useful / (double)w->machine->ranks_per_node));
    }
    const double busy = w->nodes * (double)count;
    w->node_read = smaller(w->machine->node_read, w->machine->total_read / busy);
    w->node_write = smaller(w->machine->node_write, w->machine->total_write / busy);
    for (size_t team = 0; team < count; team++) {
        double seconds = 0;
        memset(teams, 0, STAGE_COUNT * sizeof *teams);
        w->loaded = 0;
        for (size_t i = 0; i < plan->num_units; i++)
            if (plan->units[i].phase == phase && plan->units[i].chain % count == team)
                carry_out(w, &teams[plan->units[i].stage], &plan->units[i]);
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
                         const struct machine *machine, const struct layer_shape *shapes)
{
    struct estimate team[STAGE_COUNT];
    struct worker worker = {.plan = plan, .machine = machine, .shapes = shapes};

    memset(estimate, 0, sizeof *estimate);
    for (size_t phase = 0; phase < plan->num_phases; phase++)
        if (plan_chains(plan, phase) > 0)
            estimate_phase(estimate, &worker, phase, team);
    for (int s = 0; s < STAGE_COUNT; s++)
        add(&estimate->all, &estimate->stages[s]);
}

// Doubles the nodes as long as that takes a fourth of the time away, with the ranks and threads that suit.
static void find_useful_nodes(struct plan_estimate *result, const struct plan *plan, struct machine machine,
                              const struct layer_shape *shapes)
{
    const size_t sequences = plan->settings->sequences;
    enum { MOST_NODES = 1 << 14 };
    const double worth = 0.75;
    struct plan_estimate fewer, more;
    bool open[STAGE_COUNT + 1];

    result->best = machine;
    machine_fit(&result->best, sequences);
    result->useful_nodes_all = 1;
    for (int s = 0; s < STAGE_COUNT; s++)
        result->useful_nodes[s] = 1;
    memset(open, true, sizeof open);
    machine.nodes = 1;
    machine_fit(&machine, sequences);
    estimate_all(&fewer, plan, &machine, shapes);
    for (bool any = true; any && machine.nodes < MOST_NODES; fewer = more) {
        machine.nodes *= 2;
        machine_fit(&machine, sequences);
        estimate_all(&more, plan, &machine, shapes);
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

enum status plan_estimate(struct plan_estimate *estimate, const struct plan *plan,
                          const struct machine *machine, struct error *err)
{
    const size_t layers = plan->model->config.num_hidden_layers;
    struct layer_shape *shapes = NULL;
    enum status status = allocate(&shapes, layers, sizeof *shapes, "the shapes of the layers", err);

    for (size_t layer = 0; layer < layers && status == STATUS_OK; layer++)
        status = measure_layer(&shapes[layer], plan, layer, err);
    if (status == STATUS_OK) {
        estimate_all(estimate, plan, machine, shapes);
        find_useful_nodes(estimate, plan, *machine, shapes);
    }
    free(shapes);
    return status;
}
