#include "kernels/forward/attention.h"
#include "kernels/forward/activation.h"
#include "kernels/gemm.h"

#include <string.h>

// Queries go in blocks; a block's products stop at its last query's key, so that the half of the scores that
// the causal mask removes is hardly computed. Larger blocks compute more of it, smaller ones slow the product
// down.
enum { QUERY_BLOCK = 128 };

size_t attention_workspace_size(size_t tokens)
{
    return (tokens < QUERY_BLOCK ? tokens : QUERY_BLOCK) * tokens;
}

// The first key that the query at `position` sees.
static size_t first_key(const struct attention *attention, size_t position)
{
    const size_t window = attention->sliding_window;
    return window != 0 && position + 1 > window ? position + 1 - window : 0;
}

// probabilities[rows, keys] of the queries first_query ... from their scores, in place; column 0 is key
// `begin`.
static void masked_softmax(float *scores, size_t rows, size_t keys, size_t begin, size_t first_query,
                           const struct attention *attention)
{
    for (size_t r = 0; r < rows; r++) {
        float *row = scores + r * keys;
        const size_t from = first_key(attention, first_query + r) - begin;
        const size_t to = first_query + r + 1 - begin;
        if (attention->soft_cap != 0.0F)
            soft_cap(row + from, to - from, attention->soft_cap);
        memset(row, 0, from * sizeof *row);
        softmax(row + from, to - from);
        memset(row + to, 0, (keys - to) * sizeof *row);
    }
}

// One block of queries of one head: `rows` from `first` on, whose keys begin with the past's.
static void attend_block(float *out, const struct attention *attention, const struct attention_past *past,
                         size_t head, size_t first, size_t rows, float *scores)
{
    const size_t head_dim = attention->head_dim, stride = attention->token_stride;
    const size_t out_stride = attention->num_heads * head_dim;
    const size_t offset =
        head / (attention->num_heads / attention->num_key_value_heads) * attention->key_value_head_stride;
    const float *query = attention->query + head * attention->query_head_stride + first * stride;
    const size_t position = past->tokens + first; // of the first query
    const size_t begin = first_key(attention, position), keys = position + rows - begin;
    const size_t old = begin < past->tokens ? past->tokens - begin : 0; // keys that are of the past
    const size_t skip = begin > past->tokens ? begin - past->tokens : 0;
    float *target = out + first * out_stride + head * head_dim;

    if (old > 0)
        gemm_nt(scores, keys, query, stride, past->key + offset + begin * stride, stride, rows, old, head_dim,
                attention->scale);
    gemm_nt(scores + old, keys, query, stride, attention->key + offset + skip * stride, stride, rows,
            keys - old, head_dim, attention->scale);
    masked_softmax(scores, rows, keys, begin, position, attention);
    gemm_nn(target, out_stride, scores + old, keys, attention->value + offset + skip * stride, stride, rows,
            head_dim, keys - old);
    if (old > 0)
        gemm_add_nn(target, out_stride, scores, keys, past->value + offset + begin * stride, stride, rows,
                    head_dim, old);
}

void attention_forward_after(float *out, const struct attention *attention, const struct attention_past *past,
                             size_t tokens, float *workspace)
{
    for (size_t h = 0; h < attention->num_heads; h++)
        for (size_t first = 0; first < tokens; first += QUERY_BLOCK)
            attend_block(out, attention, past, h, first,
                         tokens - first < QUERY_BLOCK ? tokens - first : QUERY_BLOCK, workspace);
}

void attention_forward(float *out, const struct attention *attention, size_t tokens, float *workspace)
{
    const struct attention_past none = {0, NULL, NULL};
    attention_forward_after(out, attention, &none, tokens, workspace);
}
