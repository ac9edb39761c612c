// worker.h - the time that one team of a machine takes for elementary pieces of work: passing sequences,
// sweeping over weights, reading, writing, agreeing.
//
// In: a machine's rates and the shape of a team. Out: seconds, bytes and messages, added to an estimate. The
// parts of a unit's time add up, because the stages do one thing after the other; only the next layer is read
// meanwhile.
#pragma once
#include "pipeline/plan/costs/machine.h"
#include "pipeline/plan/costs/sizes.h"

enum part {
    PART_ARITHMETIC, // matrix products, and scoring and compensating
    PART_READING,    // the checkpoint, hidden states, masks
    PART_WRITING,    // hidden states, masks, weights, models
    PART_NETWORK,    // channel sums between ranks
    PART_WAITING,    // commits and the latency of messages
    PART_COUNT
};
const char *part_name(enum part part);

// Bytes read are those that the program asks for: the file system's caches may have them.
struct estimate {
    double seconds, parts[PART_COUNT]; // of the slowest team; parts add up to seconds
    double read, written;              // bytes, of all ranks
    double sent, messages;             // bytes and messages between ranks
};

// A team at work.
struct worker {
    const struct sizes *sizes;
    const struct machine *machine;
    double ranks;                 // of the team
    double nodes;                 // its share of them: less than one where teams share a node
    double copies;                // of a layer that it loads: one on each of its nodes
    double node_read, node_write; // bytes a second for each copy, while all teams are busy
    // The layer in the node's shared memory (stages/layer/layer_weights.h): 1 + layer, and whose.
    size_t loaded;
    const struct variant *loaded_variant;
};

// sum <- sum + other, all of it; e <- factor e.
void add_estimate(struct estimate *sum, const struct estimate *other);
void scale_estimate(struct estimate *e, double factor);
// Takes away the reading that goes on while something else takes so many seconds.
void overlap_reading(struct estimate *e, double seconds);

// Adds seconds to a part and to the whole.
void spend(struct estimate *e, enum part part, double seconds);
// `operations` of each rank, in matrix products.
void spend_computing(const struct worker *w, struct estimate *e, double operations);
// `parts` equal parts of `operations` in all, whole ones to each rank: sequences, windows.
void spend_waves(const struct worker *w, struct estimate *e, double parts, double operations);
// The same of passes through layers, whose linears are computed as the job says.
void spend_passes(const struct worker *w, struct estimate *e, double parts, double operations);
// A sweep of the team over `weights` weights, at `rate` a second and core where memory keeps up with
// `traffic` bytes for each.
void spend_sweep(const struct worker *w, struct estimate *e, double weights, double rate, double traffic);
// Bytes to and from memory for each weight: what limits a node whose cores are all busy.
extern const double score_traffic, compensate_traffic;

void spend_reading_everywhere(const struct worker *w, struct estimate *e,
                              double bytes);                                  // each node all of them
void spend_reading(const struct worker *w, struct estimate *e, double bytes); // the team, once
void spend_writing(const struct worker *w, struct estimate *e, double bytes);
// Written, read back, committed; of so many datasets.
void spend_file(const struct worker *w, struct estimate *e, double bytes, double datasets);
// A file opened and checked, beside its bytes (spend_reading).
void spend_opening(const struct worker *w, struct estimate *e);
// `count` agreements of the team.
void spend_agreeing(const struct worker *w, struct estimate *e, double count);
// The inputs of a wave's sequences go to all ranks (stages/layer/wave_inputs.h): of each how many, which, and
// each input, on whose memory all agree. The bytes and their time are the caller's.
void spend_sending(const struct worker *w, struct estimate *e, double sequences, double inputs);
// In `count` calls all ranks get `bytes` in all, of which each has an equal part.
void spend_gathering(const struct worker *w, struct estimate *e, double count, double bytes);

// Brings a dense layer into the nodes' memory: each reads a part, and sends it to the others.
void spend_dense_layer(const struct worker *w, struct estimate *e, const struct layer_size *layer);
// Brings a layer into the nodes' memory, if it is not there: of the dense model (variant NULL), or pruned.
void spend_loading(struct worker *w, struct estimate *e, size_t layer, const struct variant *variant);
