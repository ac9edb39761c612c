#include "kernels/forward/experts.h"
#include "kernels/workspace.h"

#include <stdint.h>
#include <string.h>

// The workspace's parts.
struct scratch {
    float *probabilities; // [tokens, num_experts]
    float *shares;        // [tokens, num_experts_per_tok]: probabilities of the chosen ones
    uint32_t *chosen;     // [tokens, num_experts_per_tok]
    uint32_t *routed;     // [tokens]: the tokens of one expert
    float *routed_shares; // [tokens]
    float *gathered;      // [tokens, hidden]: their inputs
    float *result;        // [tokens, hidden]
    float *inner;         // of feed_forward
};

size_t experts_workspace_size(size_t num_experts, size_t num_experts_per_tok, size_t hidden_size,
                              size_t moe_intermediate_size, size_t tokens)
{
    return cache_lines(tokens * num_experts) + 2 * cache_lines(tokens * num_experts_per_tok) +
           2 * cache_lines(tokens) + 2 * cache_lines(tokens * hidden_size) +
           feed_forward_workspace_size(moe_intermediate_size, tokens);
}

static float *take(float **cursor, size_t floats)
{
    float *part = *cursor;
    *cursor += cache_lines(floats);
    return part;
}

static struct scratch lay_out(const struct experts *experts, size_t tokens, float *workspace)
{
    const size_t hidden = experts->router.in, per_token = experts->num_experts_per_tok;
    struct scratch scratch;

    scratch.probabilities = take(&workspace, tokens * experts->num_experts);
    scratch.shares = take(&workspace, tokens * per_token);
    scratch.chosen = (uint32_t *)(void *)take(&workspace, tokens * per_token);
    scratch.routed = (uint32_t *)(void *)take(&workspace, tokens);
    scratch.routed_shares = take(&workspace, tokens);
    scratch.gathered = take(&workspace, tokens * hidden);
    scratch.result = take(&workspace, tokens * hidden);
    scratch.inner = workspace;
    return scratch;
}

// chosen[k], shares[k] <- the k largest of probabilities[n], largest first; overwrites those.
static void choose(uint32_t *chosen, float *shares, float *probabilities, size_t n, size_t k)
{
    for (size_t i = 0; i < k; i++) {
        size_t best = 0;
        for (size_t e = 1; e < n; e++)
            if (probabilities[e] > probabilities[best])
                best = e;
        chosen[i] = (uint32_t)best;
        shares[i] = probabilities[best];
        probabilities[best] = -1.0F;
    }
}

static void route(const struct scratch *scratch, const struct experts *experts, const float *x, size_t tokens)
{
    const size_t n = experts->num_experts, k = experts->num_experts_per_tok;

    linear_forward(scratch->probabilities, n, &experts->router, x, tokens);
    for (size_t t = 0; t < tokens; t++) {
        float *shares = scratch->shares + t * k;
        softmax(scratch->probabilities + t * n, n);
        choose(scratch->chosen + t * k, shares, scratch->probabilities + t * n, n, k);
        float sum = 0.0F;
        for (size_t i = 0; i < k; i++)
            sum += shares[i];
        for (size_t i = 0; i < k && experts->norm_topk_prob; i++)
            shares[i] /= sum;
    }
}

// Collects the tokens that chose `expert`; returns how many.
static size_t gather(const struct scratch *scratch, const struct experts *experts, size_t expert,
                     const float *x, size_t tokens)
{
    const size_t k = experts->num_experts_per_tok, hidden = experts->router.in;
    size_t count = 0;

    for (size_t t = 0; t < tokens; t++) {
        for (size_t i = 0; i < k; i++) {
            if (scratch->chosen[t * k + i] != expert)
                continue;
            memcpy(scratch->gathered + count * hidden, x + t * hidden, hidden * sizeof *x);
            scratch->routed[count] = (uint32_t)t;
            scratch->routed_shares[count] = scratch->shares[t * k + i];
            count++;
        }
    }
    return count;
}

// What is absent of the first expert (gate, biases) is absent of all.
static void move(struct linear *linear, size_t floats)
{
    if (linear->weight != NULL)
        linear->weight += floats;
    if (linear->bias != NULL)
        linear->bias += floats;
}

static struct feed_forward expert_at(const struct experts *experts, size_t index)
{
    struct feed_forward expert = experts->first;
    move(&expert.gate, index * experts->stride);
    move(&expert.up, index * experts->stride);
    move(&expert.down, index * experts->stride);
    return expert;
}

bool experts_forward(float *out, const struct experts *experts, const float *x, size_t tokens,
                     float *workspace, const struct decoder_observer *observer, size_t first_source)
{
    const size_t hidden = experts->router.in;
    const struct scratch scratch = lay_out(experts, tokens, workspace);

    route(&scratch, experts, x, tokens);
    for (size_t e = 0; e < experts->num_experts; e++) {
        const struct feed_forward expert = expert_at(experts, e);
        const size_t count = gather(&scratch, experts, e, x, tokens);
        if (count == 0)
            continue;
        if (!feed_forward(scratch.result, &expert, scratch.gathered, count, scratch.inner, observer,
                          first_source + 2 * e))
            return false;
        for (size_t r = 0; r < count; r++) {
            float *row = out + scratch.routed[r] * hidden;
            for (size_t i = 0; i < hidden; i++)
                row[i] += scratch.routed_shares[r] * scratch.result[r * hidden + i];
        }
    }
    return true;
}
