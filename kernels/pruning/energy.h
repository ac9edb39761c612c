// energy.h - energy compensation: closed-form rescaling of the weights that pruning kept
// (kernels/METHOD.md §8).
//
// Columns first, then rows, all in double; the result is rounded once, by the caller, to the model's dtype.
// Weights must be finite (find_non_finite of kernels/dtype.h tells): nothing is checked here.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct energy_clamp {
    double low, high; // gamma is clamped to [low, high]
    double epsilon;   // added to the denominator under the square root
};

// A linear between its mask and its pruned weight.
struct linear_view {
    size_t out, in;
    const float *weight;  // [out, in], dense
    const float *updated; // [out, in], what the kept weights are now: moved by sparsegpt, else the same array
    const uint8_t *mask;  // [out, mask_row_bytes(in)], select.h
};

// One value of each per column.
struct column_energies {
    double *mean;   // mean_i W_ij
    double *energy; // sum_i (W_ij - mean_j)^2
    double *pruned; // the same of the pruned weight around the same mean, zeros included
    double *gamma;  // clamp(sqrt(energy / (pruned + epsilon))); clamp(1) for the 0 / 0 of epsilon 0
};

// Fills arrays of `count` for the columns [first, first + count). Rows in order: any split over columns gives
// the same bits.
void energy_columns(const struct column_energies *columns, const struct linear_view *linear, size_t first,
                    size_t count, const struct energy_clamp *clamp);

// How a row is to be compensated.
struct row_compensation {
    const double *column_mean, *column_gamma; // [in], or both NULL: columns are not compensated
    bool rows;                                // the row itself is
    const struct energy_clamp *clamp;
};

// result[in] <- row `row` of the linear: the column result, then, with `rows`, rescaled around the mean of
// the dense row. energies[3] <- the row's centred energy before, after pruning and after compensation, all
// around that mean. Pruned weights become exactly +0. Returns the row's gamma, 1 without `rows`. Sums along
// the row are added in the order of kernels/lanes.h.
double energy_row(double *result, double energies[3], const struct linear_view *linear, size_t row,
                  const struct row_compensation *how);
