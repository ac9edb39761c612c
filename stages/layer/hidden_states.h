// hidden_states.h - the hidden states of each calibration sequence where they enter a layer: for layer 0 the
// embedding of the token ids, later activations/STREAM/layer-l.h5. With all that tokens carry from layer to
// layer (state_size in kernels/forward/layer.h): [length, state_size]. Those of the last layers may be in
// memory (stage->carried), with or without a file.
#pragma once
#include "io/store/store.h"
#include "stages/layer/carried_states.h"

struct hidden_states {
    struct store_reader *reader; // token ids for layer 0, activations after it
    size_t layer;
    const struct carried_stream *carried; // instead of a reader
};

// Opens the hidden states that enter `layer` in `stream`. Freed with hidden_states_close.
enum status hidden_states_open(struct hidden_states *states, const struct stage *stage, const char *stream,
                               size_t layer, struct error *err);
void hidden_states_close(struct hidden_states *states); // collective; zeroed is fine
// One of this rank's sequences: hidden[length, state_size]. Not collective.
enum status hidden_states_read(const struct hidden_states *states, const struct stage *stage, size_t sequence,
                               float *hidden, struct error *err);

// Hidden states while they are made: in memory, or in activations/STREAM/layer-l.h5, or both.
struct hidden_output {
    const struct stage *stage;
    size_t layer;
    struct store_writer *writer;    // NULL: they do not go to the store
    struct carried_stream *carried; // NULL: they do not stay in memory
};
// Collective, as all that follow. Each wave then writes one sequence per rank (count 0: none), those of rank
// r being r, r + size, ... Ends with commit or abandon, also after an error; a zeroed one is fine for
// abandon.
enum status hidden_states_create(struct hidden_output *output, const struct stage *stage, const char *stream,
                                 size_t layer, struct error *err);
enum status hidden_states_write(struct hidden_output *output, size_t sequence, size_t count,
                                const float *hidden, struct error *err);
enum status hidden_states_commit(struct hidden_output *output, struct error *err);
void hidden_states_abandon(struct hidden_output *output);
// Collective. Writes what stage->carried holds and the store has not: for a run that is told to stop.
enum status hidden_states_store(const struct stage *stage, struct error *err);

// Buffers of one rank for passing sequences of `tokens` through layers.
struct forward_buffers {
    struct rotary_table rotary;
    float *hidden;    // [tokens, state_size]
    float *workspace; // decoder_workspace_size
};
// Not collective. Freed with forward_buffers_free.
enum status forward_buffers_create(struct forward_buffers *buffers, const struct model *model, size_t tokens,
                                   struct error *err);
void forward_buffers_free(struct forward_buffers *buffers);
