#include "kernels/forward/routing.h"
#include "kernels/forward/activation.h"
#include "kernels/forward/elementary.h"

#include <math.h>

// The place of the largest of x[n], the first one among equals, whose value becomes -infinity.
static size_t take_largest(float *x, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    x[best] = -INFINITY;
    return best;
}

static float worth_of(const float *preference, size_t size, enum group_worth worth)
{
    float first = -INFINITY, second = -INFINITY;

    for (size_t e = 0; e < size; e++) {
        if (preference[e] > first) {
            second = first;
            first = preference[e];
        } else if (preference[e] > second) {
            second = preference[e];
        }
    }
    return worth == GROUP_LARGEST ? first : first + second;
}

// The preferences of all but the best kept_groups groups become -infinity. worths[groups] is scratch.
static void drop_groups(float *preference, size_t n, const struct routing *routing, float *worths)
{
    const size_t groups = routing->groups, size = n / groups;

    for (size_t g = 0; g < groups; g++)
        worths[g] = worth_of(preference + g * size, size, routing->worth);
    for (size_t k = 0; k < routing->kept_groups; k++)
        take_largest(worths, groups);
    for (size_t g = 0; g < groups; g++)
        for (size_t e = 0; e < size && worths[g] != -INFINITY; e++) // not taken
            preference[g * size + e] = -INFINITY;
}

// SparseMixer's choice of one expert among those whose preference is above -infinity, and its share.
static uint32_t mix_next(float *share, const float *logits, float *preference, size_t n, float jitter)
{
    float sum = 0.0F;
    const float most = max_of(preference, n);
    const size_t best = take_largest(preference, n);

    for (size_t e = 0; e < n; e++) {
        const bool taken = preference[e] == -INFINITY && e != best;
        const float far = (most - logits[e]) / fmaxf(fabsf(logits[e]), most);
        if (!taken && !(far > 2.0F * jitter))
            sum += exp32(logits[e] - most);
    }
    *share = 1.0F / sum;
    return (uint32_t)best;
}

static void scale_shares(float *shares, size_t k, const struct routing *routing)
{
    float sum = 0.0F;

    for (size_t i = 0; i < k; i++)
        sum += shares[i];
    sum = fmaxf(sum + routing->sum_added, routing->sum_least);
    for (size_t i = 0; i < k && routing->normalise; i++)
        shares[i] /= sum;
    for (size_t i = 0; i < k && routing->scale != 0.0F; i++)
        shares[i] *= routing->scale;
}

void route_token(uint32_t *chosen, float *shares, float *logits, const struct router *router, float *scratch)
{
    const struct routing *routing = &router->routing;
    const size_t n = router->num_experts, k = router->num_experts_per_tok;
    float *preference = scratch;

    if (routing->scores == ROUTING_SOFTMAX)
        softmax(logits, n);
    for (size_t e = 0; e < n && routing->scores == ROUTING_SIGMOID; e++)
        logits[e] = sigmoid(logits[e]);
    for (size_t e = 0; e < n; e++)
        preference[e] = logits[e] + (router->correction != NULL ? router->correction[e] : 0.0F);
    if (routing->groups != 0)
        drop_groups(preference, n, routing, scratch + n);
    for (size_t i = 0; i < k; i++) {
        if (routing->scores == ROUTING_SPARSE_MIXER) {
            chosen[i] = mix_next(&shares[i], logits, preference, n, routing->jitter);
            continue;
        }
        chosen[i] = (uint32_t)take_largest(preference, n);
        shares[i] = logits[chosen[i]];
    }
    if (routing->scores == ROUTING_SOFTMAX_OF_CHOSEN)
        softmax(shares, k);
    for (size_t i = 0; i < k && routing->scores == ROUTING_SIGMOID_OF_CHOSEN; i++)
        shares[i] = sigmoid(shares[i]);
    scale_shares(shares, k, routing);
    for (size_t i = 0; i < k && router->expert_scale != NULL; i++)
        shares[i] *= router->expert_scale[chosen[i]];
}
