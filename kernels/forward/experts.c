#include "kernels/forward/experts.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <stdint.h>
#include <string.h>

// The workspace's parts.
struct scratch {
    float *logits;       // [tokens, num_experts]
    float *choice;       // [threads, 2 num_experts]: of route_token
    float *shares;       // [tokens, num_experts_per_tok]
    uint32_t *chosen;    // [tokens, num_experts_per_tok]
    uint32_t *first;     // [num_experts + 1]: where an expert's tokens begin in the two lists that follow
    uint32_t *tokens;    // [tokens * num_experts_per_tok]: expert by expert, in order
    float *token_shares; // the same: their shares
    float *gathered;     // [tokens, hidden]: the inputs of one expert
    float *result;       // [tokens, hidden]
    float *inner;        // of feed_forward
};

size_t experts_workspace_size(size_t num_experts, size_t num_experts_per_tok, size_t hidden_size,
                              size_t moe_intermediate_size, size_t tokens)
{
    return cache_lines(tokens * num_experts) + cache_lines(threads_count() * 2 * num_experts) +
           cache_lines(num_experts + 1) + 4 * cache_lines(tokens * num_experts_per_tok) +
           2 * cache_lines(tokens * hidden_size) +
           feed_forward_workspace_size(moe_intermediate_size, true, tokens);
}

static float *take(float **cursor, size_t floats)
{
    float *part = *cursor;
    *cursor += cache_lines(floats);
    return part;
}

static struct scratch lay_out(const struct router *router, size_t tokens, float *workspace)
{
    const size_t hidden = router->linear.in, routed = tokens * router->num_experts_per_tok;
    struct scratch scratch;

    scratch.logits = take(&workspace, tokens * router->num_experts);
    scratch.choice = take(&workspace, threads_count() * 2 * router->num_experts);
    scratch.shares = take(&workspace, routed);
    scratch.chosen = (uint32_t *)(void *)take(&workspace, routed);
    scratch.first = (uint32_t *)(void *)take(&workspace, router->num_experts + 1);
    scratch.tokens = (uint32_t *)(void *)take(&workspace, routed);
    scratch.token_shares = take(&workspace, routed);
    scratch.gathered = take(&workspace, tokens * hidden);
    scratch.result = take(&workspace, tokens * hidden);
    scratch.inner = workspace;
    return scratch;
}

struct routing_pass {
    const struct scratch *scratch;
    const struct router *router;
};

static void route_tokens(const void *context, size_t first, size_t count, size_t thread)
{
    const struct routing_pass *pass = context;
    const struct scratch *scratch = pass->scratch;
    const struct router *router = pass->router;
    const size_t n = router->num_experts, k = router->num_experts_per_tok;

    for (size_t t = first; t < first + count; t++)
        route_token(scratch->chosen + t * k, scratch->shares + t * k, scratch->logits + t * n, router,
                    scratch->choice + thread * 2 * n);
}

static void route(const struct scratch *scratch, const struct router *router, const float *x, size_t tokens)
{
    const size_t n = router->num_experts, k = router->num_experts_per_tok;

    linear_forward(scratch->logits, n, &router->linear, x, tokens);
    threads_share(tokens, threads_grain(n * (k + 1)), route_tokens, &(struct routing_pass){scratch, router});
}

// Sorts the choices of all tokens by expert.
static void sort_by_expert(const struct scratch *scratch, const struct router *router, size_t tokens)
{
    const size_t n = router->num_experts, k = router->num_experts_per_tok;
    uint32_t *first = scratch->first;

    memset(first, 0, (n + 1) * sizeof *first);
    for (size_t i = 0; i < tokens * k; i++)
        first[scratch->chosen[i] + 1]++;
    for (size_t e = 0; e < n; e++)
        first[e + 1] += first[e];
    for (size_t i = 0; i < tokens * k; i++) {
        const uint32_t place = first[scratch->chosen[i]]++;
        scratch->tokens[place] = (uint32_t)(i / k);
        scratch->token_shares[place] = scratch->shares[i];
    }
    memmove(first + 1, first, n * sizeof *first); // each stands where the next expert begins
    first[0] = 0;
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

static void scale_row(float *out, const float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        out[i] = scale * x[i];
}

// The tokens of one expert, in order: no token is there twice.
struct routed {
    float *gathered, *out;   // [count, hidden]; [all tokens, hidden]
    const float *x, *result; // [all tokens, hidden]; [count, hidden]
    const uint32_t *tokens;  // [count]
    const float *shares;     // [count]
    size_t hidden;
    bool on_input; // the shares are
};

static void gather(const void *context, size_t first, size_t count, size_t thread)
{
    const struct routed *all = context;

    (void)thread;
    for (size_t r = first; r < first + count; r++)
        scale_row(all->gathered + r * all->hidden, all->x + all->tokens[r] * all->hidden, all->hidden,
                  all->on_input ? all->shares[r] : 1.0F);
}

static void add_result(const void *context, size_t first, size_t count, size_t thread)
{
    const struct routed *all = context;

    (void)thread;
    for (size_t r = first; r < first + count; r++) {
        float *row = all->out + all->tokens[r] * all->hidden;
        const float *result = all->result + r * all->hidden;
        const float share = all->on_input ? 1.0F : all->shares[r];
        for (size_t i = 0; i < all->hidden; i++)
            row[i] += share * result[i];
    }
}

bool experts_forward(float *out, const struct experts *experts, const float *x, size_t tokens,
                     float *workspace, const struct decoder_observer *observer, size_t first_source)
{
    const struct router *router = &experts->router;
    const size_t hidden = router->linear.in;
    const struct scratch scratch = lay_out(router, tokens, workspace);

    route(&scratch, router, experts->router_input != NULL ? experts->router_input : x, tokens);
    sort_by_expert(&scratch, router, tokens);
    for (size_t e = 0; e < router->num_experts; e++) {
        const struct feed_forward expert = expert_at(experts, e);
        const struct routed routed = {.gathered = scratch.gathered,
                                      .out = out,
                                      .x = x,
                                      .result = scratch.result,
                                      .tokens = scratch.tokens + scratch.first[e],
                                      .shares = scratch.token_shares + scratch.first[e],
                                      .hidden = hidden,
                                      .on_input = router->routing.on_input};
        const size_t count = scratch.first[e + 1] - scratch.first[e];
        if (count == 0)
            continue;
        threads_share(count, threads_grain(hidden), gather, &routed);
        if (!feed_forward(scratch.result, &expert, scratch.gathered, count, scratch.inner, observer,
                          first_source + 2 * e))
            return false;
        threads_share(count, threads_grain(hidden), add_result, &routed);
    }
    return true;
}
