#include "pipeline/plan/costs/worker.h"

#include "stages/layer/layer_shares.h"
#include "stages/stage.h"

#include <math.h>

const char *part_name(enum part part)
{
    static const char *const names[PART_COUNT] = {"arithmetic", "reading", "writing", "network", "waiting"};
    return names[part];
}

// Scoring reads the float32 weight for its columns and for its rows; compensation twice each, and writes;
// expanding reads bf16 and writes float32, which is read first.
const double score_traffic = 8, compensate_traffic = 18;
static const double convert_traffic = 10;

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

void add_estimate(struct estimate *sum, const struct estimate *other)
{
    sum->seconds += other->seconds;
    for (int p = 0; p < PART_COUNT; p++)
        sum->parts[p] += other->parts[p];
    sum->read += other->read;
    sum->written += other->written;
    sum->sent += other->sent;
    sum->messages += other->messages;
}

void scale_estimate(struct estimate *e, double factor)
{
    e->seconds *= factor;
    for (int p = 0; p < PART_COUNT; p++)
        e->parts[p] *= factor;
    e->read *= factor;
    e->written *= factor;
    e->sent *= factor;
    e->messages *= factor;
}

void overlap_reading(struct estimate *e, double seconds)
{
    const double hidden = smaller(e->parts[PART_READING], seconds);
    e->parts[PART_READING] -= hidden;
    e->seconds -= hidden;
}

void spend(struct estimate *e, enum part part, double seconds)
{
    e->parts[part] += seconds;
    e->seconds += seconds;
}

// How many times as fast as with one thread a rank is: Amdahl's law.
static double speedup(const struct machine *machine)
{
    return 1 / (machine->serial + (1 - machine->serial) / (double)machine->threads);
}

void spend_computing(const struct worker *w, struct estimate *e, double operations)
{
    spend(e, PART_ARITHMETIC, operations / (w->machine->flops * speedup(w->machine)));
}

void spend_waves(const struct worker *w, struct estimate *e, double parts, double operations)
{
    spend_computing(w, e, ceil(parts / w->ranks) * operations / parts);
}

void spend_passes(const struct worker *w, struct estimate *e, double parts, double operations)
{
    spend_waves(w, e, parts, operations / w->machine->compute);
}

void spend_sweep(const struct worker *w, struct estimate *e, double weights, double rate, double traffic)
{
    const double cores = w->ranks * speedup(w->machine);
    spend(e, PART_ARITHMETIC, weights / smaller(rate * cores, w->machine->memory / traffic * w->nodes));
}

void spend_reading_everywhere(const struct worker *w, struct estimate *e, double bytes)
{
    e->read += bytes * w->copies;
    spend(e, PART_READING, bytes / w->node_read);
}

void spend_reading(const struct worker *w, struct estimate *e, double bytes)
{
    spend_reading_everywhere(w, e, bytes / w->copies);
}

void spend_writing(const struct worker *w, struct estimate *e, double bytes)
{
    e->written += bytes;
    spend(e, PART_WRITING, bytes / (w->copies * w->node_write));
}

// Agreements on a file: to create, commit and read it back, and for each dataset in it; to open and check
// one. Those of the HDF5 library are among them. Counted by tests/plan_traffic.sh.
static const double file_agreements = 24, dataset_agreements = 3, opening_agreements = 10;

// HDF5's work on datasets is not shared: one rank does it, or all do the same.
void spend_file(const struct worker *w, struct estimate *e, double bytes, double datasets)
{
    spend_agreeing(w, e, file_agreements + datasets * dataset_agreements);
    spend_writing(w, e, bytes);
    spend(e, PART_WRITING, datasets * w->machine->dataset);
    spend_reading(w, e, bytes);
    spend(e, PART_WAITING, w->machine->commit);
}

// A tree up and a tree down.
void spend_agreeing(const struct worker *w, struct estimate *e, double count)
{
    e->messages += count * 2 * (w->ranks - 1);
    spend(e, PART_WAITING, count * 2 * ceil(log2(w->ranks)) * w->machine->latency);
}

void spend_opening(const struct worker *w, struct estimate *e)
{
    spend_agreeing(w, e, opening_agreements);
}

void spend_sending(const struct worker *w, struct estimate *e, double sequences, double inputs)
{
    const double messages = sequences * (2 + inputs);

    e->messages += messages * (w->ranks - 1);
    spend(e, PART_WAITING, messages * ceil(log2(w->ranks)) * w->machine->latency);
    spend_agreeing(w, e, sequences * inputs);
}

// Round a ring of the ranks.
void spend_gathering(const struct worker *w, struct estimate *e, double count, double bytes)
{
    e->sent += bytes * (w->ranks - 1);
    e->messages += count * w->ranks * (w->ranks - 1);
    if (w->nodes > 1)
        spend(e, PART_NETWORK, bytes / w->machine->network);
    spend(e, PART_WAITING, count * (w->ranks - 1) * w->machine->latency);
}

void spend_dense_layer(const struct worker *w, struct estimate *e, const struct layer_size *layer)
{
    spend_reading(w, e, layer->checkpoint);
    spend_sweep(w, e, layer->checkpoint / 2, w->machine->convert / 2, convert_traffic);
    if (w->nodes > 1) {
        const double bytes = layer_is_packed(w->machine->threads) ? layer->packed : layer->expanded;
        e->sent += bytes * (w->copies - 1);
        e->messages += w->copies * (w->copies - 1);
        spend(e, PART_NETWORK, bytes / w->machine->network);
        if (layer_is_packed(w->machine->threads)) // by one rank of each node
            spend(e, PART_ARITHMETIC, layer->packed / (w->machine->convert * speedup(w->machine)));
    }
}

void spend_loading(struct worker *w, struct estimate *e, size_t layer, const struct variant *variant)
{
    const struct layer_size *size = &w->sizes->layers[layer];

    if (w->loaded == layer + 1 && w->loaded_variant == variant)
        return;
    w->loaded = layer + 1;
    w->loaded_variant = variant;
    spend_dense_layer(w, e, size);
    if (variant != NULL) // its checksum
        spend_reading(w, e,
                      weights_are_written(w->sizes->settings, variant) ? weights_file_bytes(size, variant)
                                                                       : size->masks);
    if (variant != NULL)
        spend_opening(w, e);
    spend_agreeing(w, e, 8);
}
