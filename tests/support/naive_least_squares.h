// naive_least_squares.h - the oracle of least squares towards the dense outputs: normal equations gathered
// from naive passes and solved by elimination, in double, in plain loops. It shares with the program only the
// checkpoint's weights, the hidden states that enter a layer, and the masks and weights that it wrote.
#pragma once
#include "tests/support/naive_layer.h"

// The dense layer, and the same with what is finished, over the calibration's sequences.
struct naive_streams {
    const struct small_model *small;
    const struct variant *variant;
    size_t layer;
    const char *stream;     // that enters the pruned layer
    enum run_folder folder; // whose file has the final weights
    struct naive_pass dense, pruned;
};
// Nothing is finished yet. folder: RUN_WEIGHTS, or RUN_MASKS where the weights are the masks' `update`.
// Closed with naive_streams_close.
void naive_streams_open(struct naive_streams *streams, const struct small_model *small,
                        const struct variant *variant, size_t layer, enum run_folder folder);
void naive_streams_close(struct naive_streams *streams);
// The linear as the program wrote it. The caller frees values.
struct small_matrix naive_streams_written(const struct naive_streams *streams, const char *linear);
// linears[]: up to an empty name. They take their places in the pruned layer as the program wrote them, and
// the sequences pass again.
void naive_streams_finish(struct naive_streams *streams, const char *const *linears);

// Linears of a LLaMA layer that share their input, in the order in which they are decided: each up to "".
extern const char *const naive_groups[4][4];

// Of the linear's inputs over the first `sequences`: G and C + damping, those of an expert both of the pruned
// stream. Freed with naive_equations_free.
struct naive_equations {
    size_t in, tokens;
    double lambda;
    double *g, *c; // [in, in]
    double *sum;   // [in] of the pruned stream's inputs
};
void naive_equations_gather(struct naive_equations *equations, const struct naive_streams *streams,
                            const char *linear, size_t sequences, bool expert);
void naive_equations_free(struct naive_equations *equations);

// x[n] solves a[n, n] x = b by elimination with pivots; overwrites a and b.
void naive_eliminate(double *x, double *a, double *b, size_t n);
// row[in] <- the exact solution for the dense row; mask[in], 1 = kept, NULL: all are kept.
void naive_solve_row(double *row, const struct naive_equations *equations, const double *dense,
                     const uint8_t *mask);
// (v - w)^T (G + lambda I) (v - w): how much worse a row v fits than w, if w is the solution on a support
// that v has too.
double naive_excess(const double *v, const double *w, const struct naive_equations *equations);

// Whether conjugate gradients take many steps for the linear's equations.
bool behind_attention(const char *linear);
// The written weights of the linear are, for its written mask, the least-squares solution over the first
// `sequences`, 0 where pruned.
void assert_solved(const struct naive_streams *streams, const char *linear, size_t sequences, bool expert);
