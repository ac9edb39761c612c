// statistics.h - first-order statistics of input channels (kernels/METHOD.md §2).
#pragma once
#include <stddef.h>
#include <stdint.h>

// One sequence's partial sums over x[tokens, channels] (float32), accumulated in double, token after token:
//   sum[channels]         = sum_t x[t][j]
//   sum_squares[channels] = sum_t x[t][j]^2
//   max_abs[channels]     = max_t |x[t][j]|
// Overwrites its outputs. tokens == 0 gives zeros. A NaN or infinity in x reaches sum_squares (max_abs may
// skip a NaN).
void channel_sums(double *sum, double *sum_squares, double *max_abs, const float *x, size_t tokens,
                  size_t channels);

// mean = sum/count, second_moment = sum_squares/count, variance = population variance, never negative.
// count == 0 gives zeros.
void channel_moments(double *mean, double *variance, double *second_moment, const double *sum,
                     const double *sum_squares, uint64_t count, size_t channels);
