// energy.h - energy compensation: closed-form rescaling of what pruning kept (METHOD.md, "Energy
// compensation").
//
// Columns first, then rows, all in double; the result is rounded once, by the caller, to the model's dtype.
// Weights must be finite (find_non_finite of dtype.h tells): nothing is checked here.
//
// `updated` are the weights as they stay where the mask keeps them: sparsegpt has moved them; for other
// methods they are the original ones, the same array as `weight`.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct energy_clamp {
    double low, high; // gamma is clamped to [low, high]
    double epsilon;   // added under the square root's denominator
};

// For the columns [first, first + count) of weight[out, in] with mask[out, mask_row_bytes(in)]:
//   mean[count]   = mean_i W_ij
//   energy[count] = sum_i (W_ij - mean_j)^2
//   pruned_energy[count] = the same of the pruned weight, zeros included
//   gamma[count]  = clamp(sqrt(energy / (pruned_energy + epsilon))); clamp(1) for the 0 / 0 of epsilon 0
// Rows in order, so any split over columns gives the same bits.
void energy_columns(double *mean, double *gamma, double *energy, double *pruned_energy, const float *weight,
                    const float *updated, const uint8_t *mask, size_t out, size_t in, size_t first,
                    size_t count, const struct energy_clamp *clamp);

// One row: result[in] (double) from weight[in] (original) and mask. column_mean/column_gamma [in], or both
// NULL when columns are not compensated; rows != 0 compensates the row as well, starting from the column
// result and from the original row's mean. energies[3] is set to the row's centred energy before, after
// pruning and after compensation (around the original row mean). Pruned weights become exactly +0. Returns
// the row's gamma (1 if rows == 0). Sums along the row are added in the order of lanes.h.
double energy_row(double *result, double energies[3], const float *weight, const float *updated,
                  const uint8_t *mask, const double *column_mean, const double *column_gamma, int rows,
                  size_t in, const struct energy_clamp *clamp);
