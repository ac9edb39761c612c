// layer_trial.h - measures how much candidates for some linears of a layer change the layer's output, over
// the calibration sequences that are held out: one forward pass through the layer for each candidate
// (kernels/METHOD.md §10).
#pragma once
#include "stages/layer/hidden_states.h"
#include "stages/layer/layer_weights.h"

// One calibration sequence of so many is held out: no factor is fitted to it, it only judges.
enum { HELD_OUT_DIVISOR = 8 };
// How many sequences are held out: the last eighth, at least one of two or more, none of one.
size_t held_out_sequences(const struct settings *settings);
// The first sequence that a variant holds out. Without the guard it holds out none, and this is the number of
// sequences.
size_t first_held_out(const struct settings *settings, const struct variant *variant);

struct layer_trial {
    const struct stage *stage;
    const struct layer_weights *dense; // the layer as it is
    // The same layer in separate memory: with all that was decided before the trial, and each candidate in
    // turn.
    struct layer_weights *pruned;
    const struct hidden_states *dense_states, *states; // what enters the dense and the pruned layer
    // Puts this rank's rows, among the ranks of its node, of a candidate's weights into `pruned`.
    void (*put)(void *context, size_t candidate);
    void *context;
};

// errors[candidates]: sum |d - p|^2 / sum |d - h|^2 over the sequences [first, all), where h enters the
// layer, d is the dense layer's output and p that of the layer with the candidate in place. Sums are added in
// the order of the sequences: the bits do not depend on the number of ranks. A candidate whose
// outputs are not finite has an infinite error; when all have, it is STATUS_INPUT. Afterwards the last
// candidate is in place.
enum status try_in_layer(double *errors, size_t candidates, const struct layer_trial *trial, size_t first,
                         struct error *err);

// Floats that a rank needs in addition to the forward pass, for sequences of `tokens`.
size_t layer_trial_workspace(const struct model *model, size_t tokens);
