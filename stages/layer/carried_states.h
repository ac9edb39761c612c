// carried_states.h - hidden states that stay in memory from layer to layer, so that the store gets them now
// and then only (calibration.states_every). Each rank of a team holds those of its own sequences
// (stages/team/waves.h).
//
// What is not in the store when a run is interrupted is computed again from what is, or from the token ids.
#pragma once
#include "stages/stage.h"

// Those of the dense model, and of the variant that is pruned.
enum { CARRIED_STREAMS = 2 };

// The states that enter `layer`, or none: layer 0.
struct carried_stream {
    char name[128];
    size_t layer;
    size_t taken;   // the number of the last carried_take: the smallest one is longest out of use
    bool stored;    // in the store, too
    double written; // when its states last went to the store, or it began: seconds of a clock
    float *values;  // [own sequences, length, state_size]; NULL: not used yet
};

struct carried_states {
    bool stores_dense; // the dense model's always go to the store as well: others read them there
    size_t count;      // of streams that are held at a time, at most CARRIED_STREAMS
    size_t taken;
    struct carried_stream streams[CARRIED_STREAMS];
};

// How many streams the job carries at a time: two where a variant follows the dense model and has states of
// its own.
size_t carried_streams(const struct settings *settings);
// Bytes that a rank of a team of `ranks` holds at most.
uint64_t carried_bytes(const struct model *model, const struct settings *settings, size_t ranks);

void carried_free(struct carried_states *carried); // what is zeroed holds nothing

// The stream whose states that enter `layer` (not 0) are held; NULL: they are not. `carried` may be NULL.
struct carried_stream *carried_find(struct carried_states *carried, const char *name, size_t layer);
// Collective; stage->carried is not NULL. Room for the states of a stream that enter its next layer. What it
// holds of the layer before can be read until it is overwritten, sequence by sequence, but is found no more.
// *due: whether they go to the store as well, for which the first rank's clock counts.
enum status carried_take(struct carried_stream **stream, bool *due, const struct stage *stage,
                         const char *name, struct error *err);
// All sequences are there. stored: in the store, too.
void carried_keep(struct carried_stream *stream, size_t layer, bool stored);
// Of one of this rank's sequences: [length, state_size].
float *carried_sequence(const struct carried_stream *stream, const struct stage *stage, size_t sequence);
