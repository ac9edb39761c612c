// wave_inputs.h - the inputs that the ranks' linears saw in one wave of sequences (one sequence a rank),
// given to every rank in the order of the sequences: what a rank adds of each has the same bits for any
// number of ranks. A rank holds its own sequence's inputs, and one input of another rank at a time.
#pragma once
#include "io/model/layer_map.h"
#include "stages/team/team.h"

// One source's input in one sequence: x[streams, tokens, channels of the source].
struct wave_input {
    uint64_t source, tokens, streams;
};

struct wave_inputs {
    const struct team *team;
    const struct layer_map *map;
    float *own;                  // this rank's sequence: all inputs, one after the other
    size_t used, room;           // of own, in floats
    struct wave_input *list;     // [map->num_sources] what lies in own
    size_t count;                // of list
    struct wave_input *received; // [map->num_sources] another rank's list
    float *other;                // another rank's input of one source
    size_t other_room;
    struct error failure; // of keeping: reported by wave_inputs_visit
};

// Not collective. Freed with wave_inputs_free; team and map outlive it.
enum status wave_inputs_create(struct wave_inputs *inputs, const struct team *team,
                               const struct layer_map *map, struct error *err);
void wave_inputs_free(struct wave_inputs *inputs); // zeroed is fine
// Makes room for so many floats of this rank's sequence at once; without it the room grows as inputs come,
// and the old and the new lie in memory side by side. Not collective.
enum status wave_inputs_reserve(struct wave_inputs *inputs, size_t floats, struct error *err);
// Copies one source's input x[tokens, channels] of this rank's sequence. An input that is kept twice in a
// row, as two streams have it, is one input of two streams. Not collective: when memory ran out,
// wave_inputs_visit says so.
void wave_inputs_keep(struct wave_inputs *inputs, size_t source, const float *x, size_t tokens);
// Collective. Calls add on every rank with every input that was kept since the last call, those of the lowest
// rank first, in the order in which it kept them; x is valid during the call.
enum status wave_inputs_visit(struct wave_inputs *inputs,
                              void (*add)(void *context, const struct wave_input *input, const float *x),
                              void *context, struct error *err);
