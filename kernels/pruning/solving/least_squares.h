// least_squares.h - solves the normal equations of rows on their support by conjugate gradients
// (kernels/METHOD.md §16).
//
// No matrix is factored: the work is one product [rows, in] x [in, in] a step, for all rows of a block at
// once. A row's result depends on that row alone; rows stop one by one.
#pragma once
#include "kernels/pruning/solving/normal_equations.h"
#include <stdbool.h>
#include <stdint.h>

struct least_squares_rows {
    size_t count;         // at most LEAST_SQUARES_ROWS
    const double *target; // [count, in] least_squares_target
    const uint8_t *mask;  // [count, mask_row_bytes(in)], bits as in select.h; NULL: all are kept
    const float *start;   // [count, in] the first guess; what is pruned counts as 0
};

struct least_squares_limits {
    size_t steps;     // of one row
    double tolerance; // a row stops when |r| <= tolerance |b|; 0: when rounding lets it fall no further
    bool (*gives_up)(void *context); // asked before each product, which may take a second; NULL: never
    void *context;
};
enum { LEAST_SQUARES_STEPS = 10 };

// What became of a row. r and b: residual and target on the support, each divided by scale.
struct least_squares_outcome {
    size_t steps;
    double first, residual; // |r| / |b| at the start and in the end; 0 where b = 0
};

// Doubles of scratch memory for one block, aligned to 64 bytes.
size_t least_squares_workspace(size_t in);

// weights[count, in] <- the rows solved, 0 where pruned; may be the array `start`. The equations need scale
// and scaled, but not c. Whatever the support, and also when G is singular and lambda = 0, a result is finite
// and fits no worse than the start; a channel without an equation (G_jj + lambda = 0) keeps its first guess,
// and one that was dead in calibration (G_jj = 0) its dense weight. False when it was given up: weights and
// outcomes are then as they were.
bool least_squares_rows(float *weights, struct least_squares_outcome *outcomes,
                        const struct normal_equations *equations, const struct least_squares_rows *rows,
                        const struct least_squares_limits *limits, double *workspace);
