#include "kernels/forward/online_softmax.h"
#include "kernels/forward/elementary.h"

#include <stdbool.h>
#include <string.h>

// The largest of x[n] and max; n is a multiple of SOFTMAX_LANES. NaN is passed over.
SIMD_INLINE float largest(const float *x, size_t n, float max)
{
    float lanes[SOFTMAX_LANES];

    for (size_t l = 0; l < SOFTMAX_LANES; l++)
        lanes[l] = max;
    for (size_t i = 0; i < n; i += SOFTMAX_LANES)
        for (size_t l = 0; l < SOFTMAX_LANES; l++)
            lanes[l] = x[i + l] > lanes[l] ? x[i + l] : lanes[l];
    for (size_t half = SOFTMAX_LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            lanes[l] = lanes[l + half] > lanes[l] ? lanes[l + half] : lanes[l];
    return lanes[0];
}

// x[n] <- e^(x - max); their sum.
SIMD_INLINE double raise(float *x, size_t n, float max)
{
    float lanes[SOFTMAX_LANES] = {0};
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        x[i] = exp32_below_zero(x[i] - max);
    for (size_t i = 0; i < n; i += SOFTMAX_LANES)
        for (size_t l = 0; l < SOFTMAX_LANES; l++)
            lanes[l] += x[i + l];
    for (size_t l = 0; l < SOFTMAX_LANES; l++)
        sum += (double)lanes[l];
    return sum;
}

SIMD_CLONES
static float advance(struct online_softmax *known, float *x, size_t n)
{
    const float before = known->max, max = largest(x, n, before);
    const bool has_sums = before > -INFINITY; // else there is nothing to multiply
    const float factor = has_sums && max > before ? exp32_below_zero(before - max) : 1.0F;

    known->max = max;
    known->sum = known->sum * (double)factor + raise(x, n, max);
    return factor;
}

float online_softmax_advance(struct online_softmax *known, float *x, size_t n, size_t from, size_t to)
{
    // Whole groups of lanes, filled up with what adds nothing.
    const size_t first = from / SOFTMAX_LANES * SOFTMAX_LANES;
    const size_t last = (to + SOFTMAX_LANES - 1) / SOFTMAX_LANES * SOFTMAX_LANES;
    float factor = 1.0F;

    if (from < to) {
        for (size_t i = first; i < from; i++)
            x[i] = -INFINITY;
        for (size_t i = to; i < last; i++)
            x[i] = -INFINITY;
        factor = advance(known, x + first, last - first);
        memset(x, 0, first * sizeof *x);
        if (last < n)
            memset(x + last, 0, (n - last) * sizeof *x);
    } else {
        memset(x, 0, n * sizeof *x);
    }
    return factor;
}
