#include "kernels/attention.h"
#include "kernels/activation.h"
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

void attention_forward(float *out, const struct attention *attention, size_t tokens, float *workspace)
{
    const size_t head_dim = attention->head_dim, out_stride = attention->num_heads * head_dim;
    const size_t group = attention->num_heads / attention->num_key_value_heads;

    for (size_t h = 0; h < attention->num_heads; h++) {
        const float *query = attention->query + h * attention->query_head_stride;
        const float *key = attention->key + h / group * attention->key_value_head_stride;
        const float *value = attention->value + h / group * attention->key_value_head_stride;
        for (size_t first = 0; first < tokens; first += QUERY_BLOCK) {
            const size_t rows = tokens - first < QUERY_BLOCK ? tokens - first : QUERY_BLOCK;
            const size_t begin = first_key(attention, first), keys = first + rows - begin;
            const size_t stride = attention->token_stride;
            gemm_nt(workspace, keys, query + first * stride, stride, key + begin * stride, stride, rows, keys,
                    head_dim, attention->scale);
            masked_softmax(workspace, rows, keys, begin, first, attention);
            gemm_nn(out + first * out_stride + h * head_dim, out_stride, workspace, keys,
                    value + begin * stride, stride, rows, head_dim, keys);
        }
    }
}
