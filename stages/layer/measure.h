// measure.h - compares the outputs of pruned linears with those of the dense ones over the calibration
// sequences: one forward product each, and for each output channel the sums of kernels/METHOD.md §9.
#pragma once
#include "kernels/pruning/matching.h"
#include "stages/layer/hidden_states.h"
#include "stages/layer/layer_weights.h"

// The sequences that factors are fitted to, and those that only judge them.
enum sequence_part { FITTED = 0, HELD_OUT = 1 };
enum { SEQUENCE_PARTS = 2 };

// A linear, and the pruned weights for it whose outputs are measured.
struct measured_linear {
    const struct layer_tensor *tensor;
    size_t candidates;
    // Rows [first, first + count) of a candidate's weight, float32 [count, in]: written to buffer and
    // returned, or found elsewhere.
    const float *(*rows)(void *context, size_t candidate, size_t first, size_t count, float *buffer);
    void *context;
    // Results, the same on every rank: tokens that reached the linear, and
    // sums[candidates][OUTPUT_SUMS][out]. The sums are allocated; freed with measured_linear_free.
    uint64_t tokens[SEQUENCE_PARTS];
    double *sums[SEQUENCE_PARTS];
};
void measured_linear_free(struct measured_linear *linear);
// One channel of a candidate.
void measured_moments(struct output_moments *moments, const struct measured_linear *linear,
                      enum sequence_part part, size_t candidate, size_t channel);

// y = x W^T with the dense weight, z with a candidate's, both without bias. The linears' inputs come from
// passing dense_states through the dense layer. With pruned != NULL z's come from passing pruned_states
// through that layer instead: then all linears must have one source, and no experts.
struct measured_streams {
    const struct layer_weights *dense;
    const struct hidden_states *dense_states;
    const struct decoder_layer *pruned;
    const struct hidden_states *pruned_states;
};

// Measures over the sequences [first, held_out), which are FITTED, and [held_out, all), HELD_OUT. Sums are
// added in the order of the sequences: their bits do not depend on the number of ranks. Outputs of the
// first candidate that are not finite are STATUS_INPUT.
enum status measure_outputs(struct measured_linear *linears, size_t count, const struct stage *stage,
                            const struct measured_streams *streams, size_t first, size_t held_out,
                            struct error *err);

// Floats that measure_outputs needs in addition to the forward pass, for sequences of `tokens` and linears of
// up to `in` columns.
size_t measure_workspace(size_t tokens, size_t in);
