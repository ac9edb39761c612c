#include "tests/support/naive_masks.h"

#include <math.h>
#include <stdlib.h>

static double column_variance(const struct small_matrix *weight, size_t j)
{
    double mean = 0, variance = 0;
    for (size_t i = 0; i < weight->out; i++)
        mean += (double)weight->values[i * weight->in + j] / (double)weight->out;
    for (size_t i = 0; i < weight->out; i++)
        variance += pow((double)weight->values[i * weight->in + j] - mean, 2) / (double)weight->out;
    return variance;
}

static double column_sum(const struct small_matrix *weight, size_t j)
{
    double sum = 0;
    for (size_t i = 0; i < weight->out; i++)
        sum += fabs((double)weight->values[i * weight->in + j]);
    return sum;
}

static double row_sum(const struct small_matrix *weight, size_t i)
{
    double sum = 0;
    for (size_t j = 0; j < weight->in; j++)
        sum += fabs((double)weight->values[i * weight->in + j]);
    return sum;
}

double *naive_scores_of(const struct variant *variant, const struct small_matrix *weight,
                        const struct small_statistics *statistics)
{
    const struct importance_parameters *p = &variant->parameters;
    double *scores = malloc(weight->out * weight->in * sizeof *scores);

    assert_non_null(scores);
    for (size_t j = 0; j < weight->in; j++) {
        double channel = 1;
        if (statistics != NULL && statistics->count > 0)
            channel =
                pow(variant->method == METHOD_CVR ? statistics->variance[j] : statistics->second_moment[j],
                    p->exponent);
        if (p->alpha != 0)
            channel /= pow(column_variance(weight, j) + p->epsilon, p->alpha / 2);
        for (size_t i = 0; i < weight->out; i++) {
            const double size = fabs((double)weight->values[i * weight->in + j]);
            double importance = size;
            if (variant->method == METHOD_RIA)
                importance = size / column_sum(weight, j) + size / row_sum(weight, i);
            scores[i * weight->in + j] = importance * channel;
        }
    }
    return scores;
}

double *naive_scores(const struct small_model *small, const struct variant *variant, size_t layer,
                     const char *linear, bool even)
{
    struct small_matrix weight = small_dense_weight(small, layer, linear);
    struct small_statistics statistics = {0};

    if (!even && variant->parameters.exponent != 0)
        small_statistics_read(&statistics, small, "dense", layer, linear);
    double *scores = naive_scores_of(variant, &weight, &statistics);
    if (statistics.mean != NULL)
        small_statistics_free(&statistics);
    free(weight.values);
    return scores;
}

// Prunes the `prune` smallest of scores[n]; n is small, so each in turn.
static void prune_smallest(uint8_t *mask, const double *scores, size_t n, size_t prune)
{
    for (size_t k = 0; k < n; k++)
        mask[k] = 1;
    for (; prune > 0; prune--) {
        size_t smallest = n;
        for (size_t k = 0; k < n; k++)
            if (mask[k] == 1 && (smallest == n || scores[k] < scores[smallest]))
                smallest = k;
        mask[smallest] = 0;
    }
}

uint8_t *naive_mask(const double *scores, const struct small_matrix *shape, const struct variant *variant,
                    double sparsity)
{
    const size_t all = shape->out * shape->in;
    const size_t run = variant->is_pattern ? variant->of : variant->group == GROUP_LAYER ? all : shape->in;
    const size_t prune =
        variant->is_pattern ? variant->of - variant->keep : (size_t)floor((double)run * sparsity);
    uint8_t *mask = malloc(all);

    assert_non_null(mask);
    for (size_t first = 0; first < all; first += run)
        prune_smallest(mask + first, scores + first, run, prune);
    return mask;
}

void assert_naive_mask(const struct small_model *small, const struct variant *variant, size_t layer,
                       const char *linear, double sparsity)
{
    const struct small_matrix weight = small_dense_weight(small, layer, linear);
    double *scores = naive_scores(small, variant, layer, linear, false);
    uint8_t *expected = naive_mask(scores, &weight, variant, sparsity);
    uint8_t *found = small_mask(small, variant, layer, linear);

    for (size_t k = 0; k < weight.out * weight.in; k++)
        if (found[k] != expected[k])
            fail_msg("%s, layers.%zu.%s: weight [%zu, %zu] is %s, its score is %.17g", variant->name, layer,
                     linear, k / weight.in, k % weight.in, found[k] ? "kept" : "pruned", scores[k]);
    free(weight.values);
    free(scores);
    free(expected);
    free(found);
}
