// matching.h - output matching: brings scale and mean of a pruned linear's outputs back to the dense linear's
// (kernels/METHOD.md §9).
//
// y is the dense linear's output over the calibration tokens, z the pruned one's, both without bias. Each
// output channel is taken by itself, from five sums.
#pragma once
#include "kernels/pruning/energy.h"
#include <stddef.h>
#include <stdint.h>

enum matching {
    MATCHING_OFF = 0,
    MATCHING_MOMENT = 1,
    MATCHING_REGRESSION = 2,
    MATCHING_MIXED = 3,
    MATCHING_LEAST_SQUARES = 4 // every kept weight is solved for, not a factor of each row: least_squares.h
};
const char *const *matching_names(size_t *count); // "off", "moment", ..., in the order of the enum
// What is changed, in a line; matching: of enum matching.
const char *matching_meaning(size_t matching);

enum { OUTPUT_SUMS = 5 }; // sum y, sum z, sum y^2, sum z^2, sum y z

// One sequence's sums for `count` channels: y[tokens, count], z[tokens, count], float32. Sum k of channel i
// goes to sums[k * stride + i], which it overwrites; double, token after token.
void output_sums(double *sums, size_t stride, const float *y, const float *z, size_t tokens, size_t count);

struct output_moments {
    double mean_y, mean_z, variance_y, variance_z, covariance; // of the population
};
// From a channel's sums (distance `stride`) over `count` tokens; count 0 gives zeros. A variance that is so
// small compared with the mean square that rounding may have made it is 0.
void output_moments(struct output_moments *moments, const double *sums, size_t stride, uint64_t count);

// The factor of one output channel, clamped:
//   moment      std(y) / std(z)
//   regression  cov(y, z) / var(z), at least 0.001
//   mixed       sqrt(regression * moment)
// 1 for MATCHING_OFF and where z does not vary: nothing there can be scaled.
double matching_factor(enum matching matching, const struct output_moments *moments,
                       const struct energy_clamp *clamp);
// The number that, added to gamma * z, gives it the mean of y.
double matching_shift(const struct output_moments *moments, double gamma);
// Mean over the tokens of (y - gamma * z - shift)^2. Never negative.
double output_error(const struct output_moments *moments, double gamma, double shift);
