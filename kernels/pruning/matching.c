#include "kernels/pruning/matching.h"
#include "kernels/simd.h"

#include <math.h>

const char *const *matching_names(size_t *count)
{
    static const char *const names[] = {"off", "moment", "regression", "mixed", "least_squares"};
    *count = sizeof names / sizeof names[0];
    return names;
}

const char *matching_meaning(size_t matching)
{
    static const char *const meanings[] = {
        [MATCHING_OFF] = "nothing",
        [MATCHING_MOMENT] = "a factor for each row, so that its output has the dense one's variance",
        [MATCHING_REGRESSION] = "a factor for each row, so that its output comes nearest to the dense one's",
        [MATCHING_MIXED] = "a factor for each row, the geometric mean of these two",
        [MATCHING_LEAST_SQUARES] = ("every weight that is kept, so that outputs come nearest to the dense "
                                    "model's: much better, and more work"), // clang takes it for two rows
    };
    return meanings[matching];
}

// ---- sums -----------------------------------------------------------------------------------------------

// As in channel_sums: running sums stay in the nearest cache and are loaded and stored once for ROWS tokens.
enum { BLOCK = 512, ROWS = 8 };

SIMD_INLINE void add_rows(double *restrict sums, size_t stride, const float *restrict y,
                          const float *restrict z, size_t rows, size_t width, size_t count)
{
    double *restrict sum_y = sums, *restrict sum_z = sums + stride, *restrict sum_yy = sums + 2 * stride;
    double *restrict sum_zz = sums + 3 * stride, *restrict sum_yz = sums + 4 * stride;

    for (size_t i = 0; i < count; i++) {
        double a = sum_y[i], b = sum_z[i], aa = sum_yy[i], bb = sum_zz[i], ab = sum_yz[i];
        for (size_t r = 0; r < rows; r++) {
            const double dense = (double)y[r * width + i], pruned = (double)z[r * width + i];
            a += dense;
            b += pruned;
            aa += dense * dense;
            bb += pruned * pruned;
            ab += dense * pruned;
        }
        sum_y[i] = a;
        sum_z[i] = b;
        sum_yy[i] = aa;
        sum_zz[i] = bb;
        sum_yz[i] = ab;
    }
}

SIMD_CLONES
static void sum_block(double *sums, size_t stride, const float *y, const float *z, size_t tokens,
                      size_t width, size_t count)
{
    size_t t = 0;

    for (size_t k = 0; k < OUTPUT_SUMS; k++)
        for (size_t i = 0; i < count; i++)
            sums[k * stride + i] = 0;
    for (; t + ROWS <= tokens; t += ROWS)
        add_rows(sums, stride, y + t * width, z + t * width, ROWS, width, count);
    for (; t < tokens; t++)
        add_rows(sums, stride, y + t * width, z + t * width, 1, width, count);
}

void output_sums(double *sums, size_t stride, const float *y, const float *z, size_t tokens, size_t count)
{
    for (size_t first = 0; first < count; first += BLOCK) {
        const size_t block = count - first < BLOCK ? count - first : BLOCK;
        sum_block(sums + first, stride, y + first, z + first, tokens, count, block);
    }
}

// ---- factors --------------------------------------------------------------------------------------------

// Sums of n rounded terms are off by a few units in the last place (2^-52) times sqrt(n), and the variance is
// the difference of two of them.
static const double constant = 1e-12;

static double variance_of(double mean_square, double mean)
{
    const double variance = mean_square - mean * mean;
    return variance < constant * mean_square ? 0 : variance; // NaN stays
}

void output_moments(struct output_moments *moments, const double *sums, size_t stride, uint64_t count)
{
    const double n = (double)count;

    *moments = (struct output_moments){0};
    if (count == 0)
        return;
    moments->mean_y = sums[0] / n;
    moments->mean_z = sums[stride] / n;
    moments->variance_y = variance_of(sums[2 * stride] / n, moments->mean_y);
    moments->variance_z = variance_of(sums[3 * stride] / n, moments->mean_z);
    moments->covariance = sums[4 * stride] / n - moments->mean_y * moments->mean_z;
}

static const double least_regression =
    0.001; // so that `mixed` is defined where the outputs changed their sign

double matching_factor(enum matching matching, const struct output_moments *moments,
                       const struct energy_clamp *clamp)
{
    double gamma = 1;

    if (matching == MATCHING_OFF || moments->variance_z == 0)
        return 1;
    const double moment = sqrt(moments->variance_y / moments->variance_z);
    double regression = moments->covariance / moments->variance_z;
    regression = regression < least_regression ? least_regression : regression;
    if (matching == MATCHING_MOMENT)
        gamma = moment;
    else if (matching == MATCHING_REGRESSION)
        gamma = regression;
    else
        gamma = sqrt(regression * moment);
    return gamma < clamp->low ? clamp->low : gamma > clamp->high ? clamp->high : gamma;
}

double matching_shift(const struct output_moments *moments, double gamma)
{
    return moments->mean_y - gamma * moments->mean_z;
}

double output_error(const struct output_moments *moments, double gamma, double shift)
{
    const double scatter =
        moments->variance_y - 2 * gamma * moments->covariance + gamma * gamma * moments->variance_z;
    const double mean = matching_shift(moments, gamma) - shift;
    return (scatter < 0 ? 0 : scatter) + mean * mean;
}
