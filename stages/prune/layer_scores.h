// layer_scores.h - wanda's scores |W_ij| sqrt(s_j) of the linears of a layer whose sparsity is to be found,
// from the dense model: what OWL and DLP look at, whatever the method (kernels/METHOD.md §5).
#pragma once
#include "io/store/store.h"
#include "stages/layer/layer_weights.h"

// True for a linear that is pruned and has no ratio of its own (`prune.ratios`).
bool linear_is_allocated(const struct settings *settings, size_t layer, const struct layer_tensor *tensor);

// The scores of one row at a time, on one rank.
struct layer_scores {
    const struct stage *stage;
    const struct layer_weights *weights; // the dense layer
    struct store_reader *statistics;     // of the dense model
    float *factors;                      // [widest] of the current linear
    float *scores;                       // [widest] of one row
    double *sums; // [tallest] for the caller: a value of each row of the current linear
};
// Loads the dense layer into `weights` and opens its statistics. Collective, and so is layer_scores_close,
// which comes also after an error.
enum status layer_scores_open(struct layer_scores *c, const struct stage *stage,
                              struct layer_weights *weights, size_t layer, struct error *err);
void layer_scores_close(struct layer_scores *c);

// This rank's rows of a linear, and whether they have scores: the calibration saw enough of the linear.
struct scored_rows {
    size_t first, count;
    bool scored;
};
// Makes a linear the current one. Collective.
enum status layer_scores_begin(struct layer_scores *c, struct scored_rows *rows,
                               const struct layer_tensor *tensor, struct error *err);
// c->scores[in] <- one row of the current linear.
void layer_scores_row(struct layer_scores *c, const struct layer_tensor *tensor, size_t row);
