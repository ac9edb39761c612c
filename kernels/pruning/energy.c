#include "kernels/pruning/energy.h"
#include "kernels/float_bits.h"
#include "kernels/lanes.h"
#include "kernels/mask_bits.h"
#include "kernels/pruning/masks/select.h"
#include "kernels/threads.h"

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

// Blocks as in column_moments (importance.c): running sums in the nearest cache, ROWS rows to a load and a
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

// Sums of up to BLOCK columns.
struct block {
    double mean[BLOCK], energy[BLOCK], pruned[BLOCK];
    uint8_t keep[ROWS * BLOCK]; // of the rows in hand
};

// Adds `rows` rows, whose first `count` columns are at weight and updated.
SIMD_INLINE void add_energies(struct block *restrict block, const float *weight, const float *updated,
                              size_t rows, size_t stride, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        const double mean = block->mean[j];
        double e = block->energy[j], p = block->pruned[j];
        for (size_t r = 0; r < rows; r++) {
            const double centred = (double)weight[r * stride + j] - mean;
            const double pruned =
                (double)kept_f32(updated[r * stride + j], block->keep[r * BLOCK + j]) - mean;
            e += centred * centred;
            p += pruned * pruned;
        }
        block->energy[j] = e;
        block->pruned[j] = p;
    }
}

// Asks for the block's part of up to ROWS rows from `first` on: it is too short for the hardware to see a
// stream in it.
SIMD_INLINE void prefetch_rows(const float *weight, size_t first, const struct linear_view *linear,
                               size_t count)
{
    for (size_t r = first; r < first + ROWS && r < linear->out; r++)
        for (size_t j = 0; j < count; j += 16)
            SIMD_PREFETCH(weight + r * linear->in + j);
}

// The sums of the `count` columns from `column` on.
SIMD_CLONES
static void sum_energy_block(struct block *restrict block, const struct linear_view *linear, size_t column,
                             size_t count)
{
    const size_t out = linear->out, in = linear->in, mask_bytes = mask_row_bytes(in);
    const float *weight = linear->weight + column, *updated = linear->updated + column;
    const uint8_t *mask = linear->mask;
    size_t i = 0;

    for (; i + ROWS <= out; i += ROWS) {
        prefetch_rows(weight, i + ROWS, linear, count);
        add_values(block->mean, weight + i * in, ROWS, in, count);
    }
    for (; i < out; i++)
        add_values(block->mean, weight + i * in, 1, in, count);
    for (size_t j = 0; j < count; j++)
        block->mean[j] /= (double)out;
    for (i = 0; i + ROWS <= out; i += ROWS) {
        // A few bytes from every row of the mask: too few for the hardware to prefetch the next ones by
        // itself.
        for (size_t r = i + ROWS; r < i + 2 * ROWS && r < out; r++)
            for (size_t byte = column / 8; byte < (column + count) / 8; byte += 64)
                SIMD_PREFETCH(mask + r * mask_bytes + byte);
        prefetch_rows(weight, i + ROWS, linear, count);
        for (size_t r = 0; r < ROWS; r++)
            mask_unpack(block->keep + r * BLOCK, mask + (i + r) * mask_bytes, column, count);
        add_energies(block, weight + i * in, updated + i * in, ROWS, in, count);
    }
    for (; i < out; i++) {
        mask_unpack(block->keep, mask + i * mask_bytes, column, count);
        add_energies(block, weight + i * in, updated + i * in, 1, in, count);
    }
}

struct columns {
    const struct column_energies *energies;
    const struct linear_view *linear;
    size_t first;
    const struct energy_clamp *clamp;
};

static void sum_columns(const void *context, size_t first, size_t count, size_t thread)
{
    const struct columns *all = context;
    const struct column_energies *columns = all->energies;
    const struct linear_view *linear = all->linear;

    (void)thread;
    for (size_t start = first; start < first + count; start += BLOCK) {
        const size_t left = first + count - start, width = left < BLOCK ? left : BLOCK;
        struct block block = {{0}, {0}, {0}, {0}};

        if (linear->out > 0)
            sum_energy_block(&block, linear, all->first + start, width);
        memcpy(columns->mean + start, block.mean, width * sizeof(double));
        memcpy(columns->energy + start, block.energy, width * sizeof(double));
        memcpy(columns->pruned + start, block.pruned, width * sizeof(double));
        for (size_t j = 0; j < width; j++)
            columns->gamma[start + j] = energy_gamma(block.energy[j], block.pruned[j], all->clamp);
    }
}

void energy_columns(const struct column_energies *columns, const struct linear_view *linear, size_t first,
                    size_t count, const struct energy_clamp *clamp)
{
    threads_share(count, THREADS_COLUMNS, sum_columns, &(struct columns){columns, linear, first, clamp});
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

// One row of a linear: the pointers are at its first column.
struct row_view {
    const float *weight, *updated;
    const uint8_t *mask;
    const double *column_mean, *column_gamma; // or both NULL
    double mean;                              // of the dense row
    size_t in;
};

// LANES (or, at the end of the row, fewer) columns from `first` on: result <- the column result; all three
// energies. moved: `updated` is another array than `weight`.
SIMD_INLINE void rescale_columns(double *restrict result, struct row_sums *restrict sums,
                                 const struct row_view *restrict row, const uint8_t *restrict keep,
                                 size_t first, size_t count, bool moved)
{
    const float *weight = row->weight + first, *updated = row->updated + first;
    const double *column_mean = row->column_mean != NULL ? row->column_mean + first : NULL;
    const double *column_gamma = row->column_mean != NULL ? row->column_gamma + first : NULL;
    const double mean = row->mean;

    for (size_t l = 0; l < count; l++) {
        const double w = (double)weight[l], u = moved ? (double)updated[l] : w;
        const double kept = kept_f64(u, keep[l]);
        double after = kept;
        if (column_mean != NULL)
            after = kept_f64(column_mean[l] + column_gamma[l] * (u - column_mean[l]), keep[l]);
        result[first + l] = after;
        sums->before[l] += (w - mean) * (w - mean);
        sums->pruned[l] += (kept - mean) * (kept - mean);
        sums->after[l] += (after - mean) * (after - mean);
    }
}

SIMD_CLONES
static void rescale_row_columns(double *result, double energies[3], const struct row_view *row)
{
    struct row_sums sums = {{0}, {0}, {0}};
    uint8_t keep[LANES];

    for (size_t j = 0; j < row->in; j += LANES) {
        const size_t count = row->in - j < LANES ? row->in - j : LANES;
        mask_unpack(keep, row->mask, j, count);
        if (row->updated == row->weight) // one conversion does instead of three
            rescale_columns(result, &sums, row, keep, j, count, false);
        else
            rescale_columns(result, &sums, row, keep, j, count, true);
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

double energy_row(double *result, double energies[3], const struct linear_view *linear, size_t row,
                  const struct row_compensation *how)
{
    const size_t in = linear->in;
    const float *weight = linear->weight + row * in;
    const struct row_view view = {.weight = weight,
                                  .updated = linear->updated + row * in,
                                  .mask = linear->mask + row * mask_row_bytes(in),
                                  .column_mean = how->column_mean,
                                  .column_gamma = how->column_gamma,
                                  .mean = in > 0 ? row_mean(weight, in) : 0,
                                  .in = in};

    rescale_row_columns(result, energies, &view);
    if (!how->rows)
        return 1;
    const double gamma = energy_gamma(energies[0], energies[2], how->clamp);
    energies[2] = rescale_row(result, view.mean, gamma, view.mask, in);
    return gamma;
}
