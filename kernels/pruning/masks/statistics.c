#include "kernels/pruning/masks/statistics.h"
#include "kernels/simd.h"
#include "kernels/threads.h"

#include <math.h>
#include <string.h>

// Channels are taken in blocks whose running sums stay in the nearest cache, and tokens ROWS at a time, so
// that a running sum is loaded and stored once for ROWS additions, which still happen one after the other.
enum { BLOCK = 2048, ROWS = 8 };

SIMD_INLINE void add_rows(double *restrict sum, double *restrict sum_squares, double *restrict max_abs,
                          const float *restrict x, size_t rows, size_t stride, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        double s = sum[j], s2 = sum_squares[j], largest = max_abs[j];
        for (size_t r = 0; r < rows; r++) {
            const double value = (double)x[r * stride + j];
            s += value;
            s2 += value * value;
            largest = fabs(value) > largest ? fabs(value) : largest;
        }
        sum[j] = s;
        sum_squares[j] = s2;
        max_abs[j] = largest;
    }
}

SIMD_CLONES
static void sum_channel_block(double *sum, double *sum_squares, double *max_abs, const float *x,
                              size_t tokens, size_t stride, size_t count)
{
    size_t t = 0;

    for (size_t j = 0; j < count; j++)
        sum[j] = sum_squares[j] = max_abs[j] = 0;
    for (; t + ROWS <= tokens; t += ROWS)
        add_rows(sum, sum_squares, max_abs, x + t * stride, ROWS, stride, count);
    for (; t < tokens; t++)
        add_rows(sum, sum_squares, max_abs, x + t * stride, 1, stride, count);
}

struct channels {
    double *sum, *sum_squares, *max_abs;
    const float *x;
    size_t tokens, channels;
};

static void sum_channels(const void *context, size_t first, size_t count, size_t thread)
{
    const struct channels *all = context;

    (void)thread;
    for (size_t end = first + count; first < end; first += BLOCK) {
        const size_t width = end - first < BLOCK ? end - first : BLOCK;
        sum_channel_block(all->sum + first, all->sum_squares + first, all->max_abs + first,
                          all->tokens > 0 ? all->x + first : NULL, all->tokens, all->channels, width);
    }
}

void channel_sums(double *sum, double *sum_squares, double *max_abs, const float *x, size_t tokens,
                  size_t channels)
{
    const struct channels all = {sum, sum_squares, max_abs, x, tokens, channels};

    threads_share(channels, THREADS_COLUMNS, sum_channels, &all);
}

void channel_moments(double *mean, double *variance, double *second_moment, const double *sum,
                     const double *sum_squares, uint64_t count, size_t channels)
{
    for (size_t j = 0; j < channels; j++) {
        const double m = count > 0 ? sum[j] / (double)count : 0;
        const double s = count > 0 ? sum_squares[j] / (double)count : 0;
        const double v = s - m * m;
        mean[j] = m;
        second_moment[j] = s;
        variance[j] =
            v < 0 ? 0 : v; // a constant channel may round below 0; NaN stays, for the caller to find
    }
}
