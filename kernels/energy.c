#include "kernels/energy.h"
#include "kernels/lanes.h"
#include "kernels/mask_bits.h"

#include <math.h>
#include <string.h>

static double energy_gamma(double energy, double pruned_energy, const struct energy_clamp *clamp)
{
    const double denominator = pruned_energy + clamp->epsilon;
    // Without an epsilon, 0 / 0: there is no energy, and none was lost.
    const double gamma = energy == 0 && denominator == 0 ? 1 : sqrt(energy / denominator);

    return gamma < clamp->low ? clamp->low : gamma > clamp->high ? clamp->high : gamma;
}

// ---- columns --------------------------------------------------------------------------------------------

// Blocks as in column_moments (importance.c): running sums in the nearest cache, four rows to a load and a
// store.
enum { BLOCK = 512, ROWS = 4 };

SIMD_INLINE void add_values(double *restrict sum, const float *restrict weight, size_t rows, size_t stride,
                            size_t count)
{
    for (size_t j = 0; j < count; j++) {
        double s = sum[j];
        for (size_t r = 0; r < rows; r++)
            s += (double)weight[r * stride + j];
        sum[j] = s;
    }
}

// x where keep is 1, +0 where it is 0.
SIMD_INLINE float kept_f32(float x, uint8_t keep)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    bits &= 0 - (uint32_t)keep;
    memcpy(&x, &bits, sizeof x);
    return x;
}

SIMD_INLINE double kept_f64(double x, uint8_t keep)
{
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    bits &= 0 - (uint64_t)keep;
    memcpy(&x, &bits, sizeof x);
    return x;
}

SIMD_INLINE void add_energies(double *restrict energy, double *restrict pruned_energy,
                              const double *restrict mean, const float *restrict weight,
                              const uint8_t *restrict keep, size_t rows, size_t stride, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        double e = energy[j], p = pruned_energy[j];
        for (size_t r = 0; r < rows; r++) {
            const float w = weight[r * stride + j];
            const double centred = (double)w - mean[j];
            const double pruned = (double)kept_f32(w, keep[r * BLOCK + j]) - mean[j];
            e += centred * centred;
            p += pruned * pruned;
        }
        energy[j] = e;
        pruned_energy[j] = p;
    }
}

SIMD_CLONES
void energy_columns(double *mean, double *gamma, double *energy, double *pruned_energy, const float *weight,
                    const uint8_t *mask, size_t out, size_t in, size_t first, size_t count,
                    const struct energy_clamp *clamp)
{
    const size_t mask_bytes = (in + 7) / 8;

    for (size_t start = 0; start < count; start += BLOCK) {
        const size_t width = count - start < BLOCK ? count - start : BLOCK;
        const size_t column = first + start;
        const float *block = weight + column;
        double sum[BLOCK] = {0}, before[BLOCK] = {0}, after[BLOCK] = {0};
        uint8_t keep[ROWS * BLOCK];
        size_t i = 0;

        for (; i + ROWS <= out; i += ROWS)
            add_values(sum, block + i * in, ROWS, in, width);
        for (; i < out; i++)
            add_values(sum, block + i * in, 1, in, width);
        for (size_t j = 0; j < width; j++)
            sum[j] /= out > 0 ? (double)out : 1;

        for (i = 0; i + ROWS <= out; i += ROWS) {
            for (size_t r = 0; r < ROWS; r++)
                mask_unpack(keep + r * BLOCK, mask + (i + r) * mask_bytes, column, width);
            add_energies(before, after, sum, block + i * in, keep, ROWS, in, width);
        }
        for (; i < out; i++) {
            mask_unpack(keep, mask + i * mask_bytes, column, width);
            add_energies(before, after, sum, block + i * in, keep, 1, in, width);
        }
        memcpy(mean + start, sum, width * sizeof *mean);
        memcpy(energy + start, before, width * sizeof *energy);
        memcpy(pruned_energy + start, after, width * sizeof *pruned_energy);
        for (size_t j = 0; j < width; j++)
            gamma[start + j] = energy_gamma(before[j], after[j], clamp);
    }
}

// ---- one row --------------------------------------------------------------------------------------------

SIMD_INLINE double row_mean(const float *weight, size_t in)
{
    double lanes[LANES] = {0};
    size_t j = 0;

    for (; j + LANES <= in; j += LANES)
        for (size_t l = 0; l < LANES; l++)
            lanes[l] += (double)weight[j + l];
    for (size_t l = 0; j + l < in; l++)
        lanes[l] += (double)weight[j + l];
    return lanes_fold(lanes) / (double)in;
}

// The running sums of a row: around its mean, the energy of the weight, of the pruned weight and of the
// column result.
struct row_sums {
    double energy[LANES], pruned[LANES], current[LANES];
};

// LANES (or, at the end of the row, fewer) columns: result <- the column result, and its energies.
SIMD_INLINE void row_columns(double *restrict result, struct row_sums *restrict sums, double mean,
                             const float *restrict weight, const uint8_t *restrict keep,
                             const double *restrict column_mean, const double *restrict column_gamma,
                             size_t count)
{
    for (size_t l = 0; l < count; l++) {
        const double w = (double)weight[l];
        const double kept = (double)kept_f32(weight[l], keep[l]);
        const double current =
            column_mean == NULL ? kept
                                : kept_f64(column_mean[l] + column_gamma[l] * (w - column_mean[l]), keep[l]);
        result[l] = current;
        sums->energy[l] += (w - mean) * (w - mean);
        sums->pruned[l] += (kept - mean) * (kept - mean);
        sums->current[l] += (current - mean) * (current - mean);
    }
}

SIMD_INLINE void row_rescale(double *restrict result, double *restrict lanes, double mean, double gamma,
                             const uint8_t *restrict keep, size_t count)
{
    for (size_t l = 0; l < count; l++) {
        const double scaled = kept_f64(mean + gamma * (result[l] - mean), keep[l]);
        result[l] = scaled;
        lanes[l] += (scaled - mean) * (scaled - mean);
    }
}

SIMD_CLONES
double energy_row(double *result, double energies[3], const float *weight, const uint8_t *mask,
                  const double *column_mean, const double *column_gamma, int rows, size_t in,
                  const struct energy_clamp *clamp)
{
    struct row_sums sums = {0};
    double lanes[LANES] = {0};
    uint8_t keep[LANES];
    const double mean = in > 0 ? row_mean(weight, in) : 0;

    for (size_t j = 0; j < in; j += LANES) {
        const size_t count = in - j < LANES ? in - j : LANES;
        mask_unpack(keep, mask, j, count);
        if (column_mean == NULL)
            row_columns(result + j, &sums, mean, weight + j, keep, NULL, NULL, count);
        else
            row_columns(result + j, &sums, mean, weight + j, keep, column_mean + j, column_gamma + j, count);
    }
    energies[0] = lanes_fold(sums.energy);
    energies[1] = lanes_fold(sums.pruned);
    energies[2] = lanes_fold(sums.current);
    if (rows == 0)
        return 1;

    const double gamma = energy_gamma(energies[0], energies[2], clamp);
    for (size_t j = 0; j < in; j += LANES) {
        const size_t count = in - j < LANES ? in - j : LANES;
        mask_unpack(keep, mask, j, count);
        row_rescale(result + j, lanes, mean, gamma, keep, count);
    }
    energies[2] = lanes_fold(lanes);
    return gamma;
}
