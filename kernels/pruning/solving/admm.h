// admm.h - pruning by the alternating direction method of multipliers (kernels/METHOD.md §17): the step that
// `admm` and `alps` share, and the schedule of `admm`. What they do not know is who holds which rows: a row's
// result depends on that row and its masks alone.
//
// Weights are scaled as in normal_equations.h: W' = W n, and T, the state, is the sum of the weights and
// their scaled dual variable. Where the mask keeps, T is the pruned weight; where it prunes, the dual
// variable.
#pragma once
#include "kernels/pruning/solving/normal_equations.h"
#include <stdint.h>

struct admm_rows {
    size_t count;        // at most LEAST_SQUARES_ROWS
    const float *dense;  // [count, in] the weights to come near to: W+ (kernels/METHOD.md §16), or W0
    float *state;        // [count, in] T
    uint8_t *mask;       // [count, mask_row_bytes(in)], bits as in select.h
    const uint8_t *held; // likewise, the zeros that stay (held_zeros.h); NULL: none
};

// state <- dense n: from which the first mask is selected. A channel without an equation (G_jj + lambda = 0)
// counts as 0.
void admm_begin(const struct admm_rows *rows, const struct normal_equations *equations);

// scores[count] <- |state[count]|: what masks are selected from.
void admm_scores(float *scores, const float *state, size_t count);
// How many of a row's smallest are pruned; with of != 0 the n largest of every `of` are kept, and `prune` of
// the others are pruned (SIZE_MAX: all of them).
struct admm_selection {
    size_t prune, n, of;
};
// Selects every row's mask from its state; scores is scratch, a row [in] for each thread
// (kernels/threads.h).
void admm_select(const struct admm_rows *rows, size_t in, const struct admm_selection *selection,
                 float *scores);
// How many columns two masks tell apart.
uint64_t mask_difference(const uint8_t *a, const uint8_t *b, size_t bytes);

// One step with the current mask: the weights that minimise |X^ W - X^ dense|^2 plus penalty / 2 times the
// squared distance from the pruned weights less the dual variable, then the next state. `dual`: the penalty
// of the step before, by which the state's dual variable is scaled; 0: there is none yet. inverse: (A +
// penalty I)^-1 as inverse_narrow leaves it, rows 2 * in floats apart.
struct admm_penalty {
    double penalty, dual;
};
void admm_step(const struct admm_rows *rows, const struct normal_equations *equations, const float *inverse,
               const struct admm_penalty *penalty, float *workspace);
// Floats of scratch memory, aligned to 64 bytes.
size_t admm_workspace(size_t in);

// start[count, in] <- the pruned weights of the state, no longer scaled: the first guess for
// least_squares_rows. May be the array `state`.
void admm_result(float *start, const struct admm_rows *rows, const struct normal_equations *equations);

// ---- the schedule of `admm` -------------------------------------------------------------------------------

// Each step selects a mask, for the first ADMM_GROWTH steps with the sparsity that admm_sparsity says, and
// calls admm_step with ADMM_PENALTY, also as `dual`. The one inverse has rho = ADMM_PENALTY + ADMM_DAMPING.
enum { ADMM_STEPS = 20, ADMM_GROWTH = 15 };
#define ADMM_PENALTY 1.0
#define ADMM_DAMPING 0.1
// Of step 0, 1, ...: it grows to `sparsity` in ADMM_GROWTH steps.
double admm_sparsity(double sparsity, int step);
