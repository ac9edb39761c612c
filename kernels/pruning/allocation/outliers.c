#include "kernels/pruning/allocation/outliers.h"

#include <math.h>

double outlier_sum(const float *scores, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)scores[i];
    return sum;
}

uint64_t outlier_count(const float *scores, size_t n, double limit)
{
    uint64_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += (double)scores[i] > limit;
    return count;
}

void outlier_targets(double *targets, const double *ratios, const double *weights, size_t layers,
                     double sparsity, double range)
{
    const double room = fmin(range, fmin(sparsity, 1 - sparsity));
    double total = 0, mean = 0, furthest = 0;

    for (size_t l = 0; l < layers; l++)
        total += weights[l];
    for (size_t l = 0; l < layers && total > 0; l++)
        mean += weights[l] / total * ratios[l];
    for (size_t l = 0; l < layers; l++)
        if (weights[l] > 0)
            furthest = fmax(furthest, fabs(ratios[l] - mean));
    for (size_t l = 0; l < layers; l++) {
        targets[l] = sparsity;
        // Differences of the size of a rounding error are none.
        if (weights[l] > 0 && furthest > 1e-12 * fabs(mean))
            targets[l] -= room * ((ratios[l] - mean) / furthest);
    }
}
