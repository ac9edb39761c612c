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
    const size_t window = attention->sliding_window, chunk = attention->chunk;

    if (chunk != 0)
        return position / chunk * chunk;
    return window != 0 && position + 1 > window ? position + 1 - window : 0;
}

static size_t value_dim(const struct attention *attention)
{
    return attention->value_dim != 0 ? attention->value_dim : attention->head_dim;
}

// scores[count] of the query at `position` with the keys from `first` on.
static void add_bias(float *scores, const float *bias, size_t position, size_t first, size_t count)
{
    for (size_t k = 0; k < count; k++)
        scores[k] += bias[first + k] - bias[position];
}

// A block of scores [rows, keys]: those of the queries from first_query on, column 0 is key `begin`.
struct score_block {
    float *scores;
    size_t rows, keys, first_query, begin;
};

// From scores to probabilities of a head, in place.
static void masked_softmax(const struct score_block *block, const struct attention *attention, size_t head)
{
    const size_t begin = block->begin, keys = block->keys;
    const float *sink = attention->sinks != NULL ? attention->sinks + head : NULL;

    for (size_t r = 0; r < block->rows; r++) {
        const size_t position = block->first_query + r;
        float *row = block->scores + r * keys;
        const size_t from = first_key(attention, position) - begin;
        const size_t to = position + 1 - begin;
        if (attention->bias != NULL)
            add_bias(row + from, attention->bias + head * attention->bias_stride, position, begin + from,
                     to - from);
        if (attention->soft_cap != 0.0F)
            soft_cap(row + from, to - from, attention->soft_cap);
        memset(row, 0, from * sizeof *row);
        if (sink != NULL)
            softmax_beside(row + from, to - from, *sink);
        else
            softmax(row + from, to - from);
        memset(row + to, 0, (keys - to) * sizeof *row);
    }
}

// One block of queries of one head: `rows` from `first` on, whose keys begin with the past's.
static void attend_block(float *out, const struct attention *attention, const struct attention_past *past,
                         size_t head, size_t first, size_t rows, float *scores)
{
    const size_t head_dim = attention->head_dim, stride = attention->token_stride;
    const size_t value = value_dim(attention), out_stride = attention->num_heads * value;
    const size_t group = head / (attention->num_heads / attention->num_key_value_heads);
    const size_t offset = group * attention->key_value_head_stride;
    const size_t value_offset =
        attention->value_head_stride != 0 ? group * attention->value_head_stride : offset;
    const float *query = attention->query + head * attention->query_head_stride + first * stride;
    const size_t position = past->tokens + first; // of the first query
    const size_t begin = first_key(attention, position), keys = position + rows - begin;
    const size_t old = begin < past->tokens ? past->tokens - begin : 0; // keys that are of the past
    const size_t skip = begin > past->tokens ? begin - past->tokens : 0;
    float *target = out + first * out_stride + head * value;

    if (old > 0)
        gemm_nt(scores, keys, query, stride, past->key + offset + begin * stride, stride, rows, old, head_dim,
                attention->scale);
    gemm_nt(scores + old, keys, query, stride, attention->key + offset + skip * stride, stride, rows,
            keys - old, head_dim, attention->scale);
    masked_softmax(&(struct score_block){scores, rows, keys, position, begin}, attention, head);
    gemm_nn(target, out_stride, scores + old, keys, attention->value + value_offset + skip * stride, stride,
            rows, value, keys - old);
    if (old > 0)
        gemm_add_nn(target, out_stride, scores, keys, past->value + value_offset + begin * stride, stride,
                    rows, value, old);
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
