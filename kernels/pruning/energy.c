#include "kernels/pruning/energy.h"
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
                              const double *restrict mean, const float *weight, const float *updated,
                              const uint8_t *restrict keep, size_t rows, size_t stride, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        double e = energy[j], p = pruned_energy[j];
        for (size_t r = 0; r < rows; r++) {
            const double centred = (double)weight[r * stride + j] - mean[j];
            const double pruned = (double)kept_f32(updated[r * stride + j], keep[r * BLOCK + j]) - mean[j];
            e += centred * centred;
            p += pruned * pruned;
        }
        energy[j] = e;
        pruned_energy[j] = p;
    }
}

struct block {
    double mean[BLOCK], energy[BLOCK], pruned_energy[BLOCK];
    uint8_t keep[ROWS * BLOCK];
};

// The sums of the `count` columns from `column` on.
SIMD_CLONES
static void sum_energy_block(struct block *block, const float *weight, const float *updated,
                             const uint8_t *mask, size_t out, size_t in, size_t column, size_t count)
{
    const size_t mask_bytes = (in + 7) / 8;
    size_t i = 0;

    weight += column;
    updated += column;
    for (; i + ROWS <= out; i += ROWS)
        add_values(block->mean, weight + i * in, ROWS, in, count);
    for (; i < out; i++)
        add_values(block->mean, weight + i * in, 1, in, count);
    for (size_t j = 0; j < count; j++)
        block->mean[j] /= (double)out;
    for (i = 0; i + ROWS <= out; i += ROWS) {
        // A few bytes from every row of the mask: too short a stretch for the processor to see it coming.
        for (size_t r = i + ROWS; r < i + 2 * ROWS && r < out; r++)
            for (size_t byte = column / 8; byte < (column + count) / 8; byte += 64)
                SIMD_PREFETCH(mask + r * mask_bytes + byte);
        for (size_t r = 0; r < ROWS; r++)
            mask_unpack(block->keep + r * BLOCK, mask + (i + r) * mask_bytes, column, count);
        add_energies(block->energy, block->pruned_energy, block->mean, weight + i * in, updated + i * in,
                     block->keep, ROWS, in, count);
    }
    for (; i < out; i++) {
        mask_unpack(block->keep, mask + i * mask_bytes, column, count);
        add_energies(block->energy, block->pruned_energy, block->mean, weight + i * in, updated + i * in,
                     block->keep, 1, in, count);
    }
}

void energy_columns(double *mean, double *gamma, double *energy, double *pruned_energy, const float *weight,
                    const float *updated, const uint8_t *mask, size_t out, size_t in, size_t first,
                    size_t count, const struct energy_clamp *clamp)
{
    for (size_t start = 0; start < count; start += BLOCK) {
        const size_t width = count - start < BLOCK ? count - start : BLOCK;
        struct block block = {{0}, {0}, {0}, {0}};

        if (out > 0)
            sum_energy_block(&block, weight, updated, mask, out, in, first + start, width);
        memcpy(mean + start, block.mean, width * sizeof *mean);
        memcpy(energy + start, block.energy, width * sizeof *energy);
        memcpy(pruned_energy + start, block.pruned_energy, width * sizeof *pruned_energy);
        for (size_t j = 0; j < width; j++)
            gamma[start + j] = energy_gamma(block.energy[j], block.pruned_energy[j], clamp);
    }
}

// ---- one row --------------------------------------------------------------------------------------------

SIMD_CLONES
static double row_mean(const float *weight, size_t in)
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
// result so far.
struct row_sums {
    double before[LANES], pruned[LANES], after[LANES];
};

// LANES (or, at the end of the row, fewer) columns: result <- the column result; all three energies.
SIMD_INLINE void rescale_columns(double *restrict result, struct row_sums *restrict sums, double mean,
                                 const float *weight, const float *updated, const uint8_t *restrict keep,
                                 const double *restrict column_mean, const double *restrict column_gamma,
                                 size_t count)
{
    for (size_t l = 0; l < count; l++) {
        const double w = (double)weight[l], u = (double)updated[l];
        const double kept = (double)kept_f32(updated[l], keep[l]);
        double after = kept;
        if (column_mean != NULL)
            after = kept_f64(column_mean[l] + column_gamma[l] * (u - column_mean[l]), keep[l]);
        result[l] = after;
        sums->before[l] += (w - mean) * (w - mean);
        sums->pruned[l] += (kept - mean) * (kept - mean);
        sums->after[l] += (after - mean) * (after - mean);
    }
}

SIMD_CLONES
static void rescale_row_columns(double *result, double energies[3], double mean, const float *weight,
                                const float *updated, const uint8_t *mask, const double *column_mean,
                                const double *column_gamma, size_t in)
{
    struct row_sums sums = {{0}, {0}, {0}};
    uint8_t keep[LANES];

    for (size_t j = 0; j < in; j += LANES) {
        const size_t count = in - j < LANES ? in - j : LANES;
        mask_unpack(keep, mask, j, count);
        if (column_mean == NULL)
            rescale_columns(result + j, &sums, mean, weight + j, updated + j, keep, NULL, NULL, count);
        else
            rescale_columns(result + j, &sums, mean, weight + j, updated + j, keep, column_mean + j,
                            column_gamma + j, count);
    }
    energies[0] = lanes_fold(sums.before);
    energies[1] = lanes_fold(sums.pruned);
    energies[2] = lanes_fold(sums.after);
}

// Returns the energy of the result.
SIMD_CLONES
static double rescale_row(double *result, double mean, double gamma, const uint8_t *mask, size_t in)
{
    double lanes[LANES] = {0};
    uint8_t keep[LANES];

    for (size_t j = 0; j < in; j += LANES) {
        const size_t count = in - j < LANES ? in - j : LANES;
        mask_unpack(keep, mask, j, count);
        for (size_t l = 0; l < count; l++) {
            const double after = kept_f64(mean + gamma * (result[j + l] - mean), keep[l]);
            result[j + l] = after;
            lanes[l] += (after - mean) * (after - mean);
        }
    }
    return lanes_fold(lanes);
}

double energy_row(double *result, double energies[3], const float *weight, const float *updated,
                  const uint8_t *mask, const double *column_mean, const double *column_gamma, int rows,
                  size_t in, const struct energy_clamp *clamp)
{
    const double mean = in > 0 ? row_mean(weight, in) : 0;

    rescale_row_columns(result, energies, mean, weight, updated, mask, column_mean, column_gamma, in);
    if (rows == 0)
        return 1;
    const double gamma = energy_gamma(energies[0], energies[2], clamp);
    energies[2] = rescale_row(result, mean, gamma, mask, in);
    return gamma;
}
