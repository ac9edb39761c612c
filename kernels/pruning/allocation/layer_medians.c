#include "kernels/pruning/allocation/layer_medians.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

void median_search_begin(struct select_search *search, uint64_t count)
{
    select_search_begin(search, (count - 1) / 2 + 1);
}

float median_search_found(const struct select_search *search)
{
    float median;
    memcpy(&median, &search->threshold, sizeof median);
    return median;
}

// d_l of the layers that count, 0 of the others. False: they do not differ.
static bool spread(double *d, const double *medians, const double *weights, size_t layers, double alpha)
{
    double least = INFINITY, most = -INFINITY;

    for (size_t l = 0; l < layers; l++) {
        d[l] = 0;
        if (weights[l] > 0) {
            least = fmin(least, medians[l]);
            most = fmax(most, medians[l]);
        }
    }
    // Differences of the size of a rounding error are none.
    if (!(most - least > 1e-12 * fabs(most)))
        return false;
    for (size_t l = 0; l < layers; l++)
        if (weights[l] > 0)
            d[l] = 2 * alpha * ((most - medians[l]) / (most - least));
    return true;
}

static double clipped(double target)
{
    return fmin(fmax(target, 0), 1);
}

// How far the weighted sum of the targets is above what it shall be.
static double surplus(double shift, const double *d, const double *weights, size_t layers, double sparsity)
{
    double sum = 0;
    for (size_t l = 0; l < layers; l++)
        sum += weights[l] * (clipped(sparsity + shift - d[l]) - sparsity);
    return sum;
}

// The shift that leaves no surplus. Bisection tells which layers are clipped; of the others it is then a
// mean.
static double find_shift(const double *d, const double *weights, size_t layers, double sparsity)
{
    double low = -1, high = 2, free = 0, sum = 0;

    for (int step = 0; step < 64; step++) {
        const double middle = low + (high - low) / 2;
        if (surplus(middle, d, weights, layers, sparsity) > 0)
            high = middle;
        else
            low = middle;
    }
    for (size_t l = 0; l < layers; l++) {
        const double target = sparsity + low - d[l];
        if (target >= 1)
            sum -= weights[l] * (1 - sparsity);
        else if (target <= 0)
            sum += weights[l] * sparsity;
        else
            sum += weights[l] * d[l];
        free += target > 0 && target < 1 ? weights[l] : 0;
    }
    return free > 0 ? sum / free : low;
}

void median_targets(double *targets, const double *medians, const double *weights, size_t layers,
                    double sparsity, double alpha)
{
    const bool differ = spread(targets, medians, weights, layers, alpha);
    const double shift = differ ? find_shift(targets, weights, layers, sparsity) : 0;

    for (size_t l = 0; l < layers; l++)
        targets[l] = differ && weights[l] > 0 ? clipped(sparsity + shift - targets[l]) : sparsity;
}
