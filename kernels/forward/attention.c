#include "kernels/forward/attention.h"
#include "kernels/forward/activation.h"
#include "kernels/forward/online_softmax.h"
#include "kernels/gemm.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

// Queries and keys go in blocks, as in FlashAttention (Dao et al., 2022, arXiv 2205.14135), with the running
// maximum and sum of each row. Blocks of keys begin at multiples of KEY_BLOCK counted from position 0, so
// that what a query adds up, and in which order, depends on its own position alone. KEY_BLOCK is at most what
// BLIS sums without a break.
enum { KEY_BLOCK = 256 };
// Floats from one row of scores to the next: not a power of two, which would put them into the same few sets
// of a cache.
enum { SCORE_STRIDE = KEY_BLOCK + 16 };
// Rows of a product: a row is a query of one of the heads that share keys and values.
enum { ROW_BLOCK = 1024 };
// With threads blocks have fewer rows, until there are so many blocks for each: later queries see more keys,
// so that blocks take different times.
enum { BLOCKS_OF_THREAD = 4, LEAST_ROW_BLOCK = 128 };
// Rows that are multiplied with the same keys where not all see the whole block: fewer compute less that is
// not seen, more make a faster product.
enum { PARTIAL_ROWS = 128 };

static size_t value_dim(const struct attention *attention)
{
    return attention->value_dim != 0 ? attention->value_dim : attention->head_dim;
}

// ---- workspace -----------------------------------------------------------------------------------------

// The queries of all heads of one group, from token `first` on: row i * group + g is head g of token first +
// i.
struct block {
    const struct attention *attention;
    const struct attention_past *past;
    size_t key_head, group;
    size_t first, queries;
    float *query;                 // [queries, group, head_dim]
    float *out;                   // [queries, group, value_dim], not divided by the sums yet
    float *scores;                // [queries, group, SCORE_STRIDE]
    struct online_softmax *known; // [queries, group]
    float *key, *value;           // [KEY_BLOCK, head_dim], [KEY_BLOCK, value_dim]
};

static size_t lay_out(struct block *block, const struct attention *attention, size_t tokens, float *workspace)
{
    const size_t most = larger(ROW_BLOCK, attention->num_heads), all = tokens * attention->num_heads;
    const size_t rows = all < most ? all : most;
    const size_t keys = KEY_BLOCK * attention->head_dim, values = KEY_BLOCK * value_dim(attention);
    const size_t query = cache_lines(rows * sizeof *block->known / sizeof(float));
    const size_t out = query + cache_lines(rows * attention->head_dim);
    const size_t scores = out + cache_lines(rows * value_dim(attention));
    const size_t key = scores + rows * SCORE_STRIDE;
    const size_t value = key + keys;

    if (workspace != NULL) {
        block->known = (struct online_softmax *)(void *)workspace;
        block->query = workspace + query;
        block->out = workspace + out;
        block->scores = workspace + scores;
        block->key = workspace + key;
        block->value = workspace + value;
    }
    return value + cache_lines(values);
}

size_t attention_workspace_size(const struct attention *attention, size_t tokens)
{
    return threads_count() * lay_out(NULL, attention, tokens, NULL);
}

// ---- who sees what -------------------------------------------------------------------------------------

// The first key that the query at `position` sees.
static size_t first_key(const struct attention *attention, size_t position)
{
    const size_t window = attention->sliding_window, chunk = attention->chunk;

    if (chunk != 0)
        return position / chunk * chunk;
    return window != 0 && position + 1 > window ? position + 1 - window : 0;
}

// Keys by their positions.
struct span {
    size_t from, to;
};

// The keys of a block that the queries at `first` ... `last` see; from a whole number of lanes on.
static struct span seen_keys(const struct attention *attention, struct span keys, size_t first, size_t last)
{
    const size_t begin = first_key(attention, first);
    struct span seen = keys;

    if (begin > keys.from)
        seen.from += (begin - keys.from) / SOFTMAX_LANES * SOFTMAX_LANES;
    if (last + 1 < keys.to)
        seen.to = last + 1;
    return seen;
}

// ---- one block of queries and keys -----------------------------------------------------------------------

// Rows of keys or values in their own memory or in the workspace.
struct rows {
    const float *data; // that of the block's first key
    size_t stride;
};

// A block of keys.
struct key_block {
    struct span keys;
    struct rows key, value;
};

// Keys, or values, that begin `old` and go on in `new`, which holds those from past->tokens on. Those that
// lie in both are copied, size floats each.
static struct rows find_rows(const struct block *block, struct span keys, const float *old, const float *new,
                             float *copy, size_t size)
{
    const size_t past = block->past->tokens, stride = block->attention->token_stride;

    if (keys.to <= past)
        return (struct rows){old + keys.from * stride, stride};
    if (keys.from >= past)
        return (struct rows){new + (keys.from - past) * stride, stride};
    for (size_t k = keys.from; k < keys.to; k++)
        memcpy(copy + (k - keys.from) * size, k < past ? old + k * stride : new + (k - past) * stride,
               size * sizeof *copy);
    return (struct rows){copy, size};
}

static struct key_block find_keys(const struct block *block, struct span keys)
{
    const struct attention *attention = block->attention;
    const size_t offset = block->key_head * attention->key_value_head_stride;
    const size_t value_offset =
        attention->value_head_stride != 0 ? block->key_head * attention->value_head_stride : offset;
    const struct attention_past *past = block->past;
    const bool has_past = past->tokens > 0;

    return (struct key_block){keys,
                              find_rows(block, keys, has_past ? past->key + offset : NULL,
                                        attention->key + offset, block->key, attention->head_dim),
                              find_rows(block, keys, has_past ? past->value + value_offset : NULL,
                                        attention->value + value_offset, block->value, value_dim(attention))};
}

// scores[count] of the query at `position` with the keys from `first` on.
static void add_bias(float *scores, const float *bias, size_t position, size_t first, size_t count)
{
    for (size_t k = 0; k < count; k++)
        scores[k] += bias[first + k] - bias[position];
}

static void scale_row(float *x, size_t n, float factor)
{
    for (size_t i = 0; i < n; i++)
        x[i] *= factor;
}

// Scores of one row with the keys `seen` become powers.
static void raise_row(const struct block *block, size_t row, struct span seen)
{
    const struct attention *attention = block->attention;
    const size_t head = block->key_head * block->group + row % block->group, value = value_dim(attention);
    const size_t position = block->past->tokens + block->first + row / block->group;
    const size_t begin = first_key(attention, position), from = larger(begin, seen.from) - seen.from;
    const size_t to = (position + 1 < seen.to ? position + 1 : seen.to) - seen.from;
    float *scores = block->scores + row * SCORE_STRIDE;

    if (from < to && attention->bias != NULL)
        add_bias(scores + from, attention->bias + head * attention->bias_stride, position, seen.from + from,
                 to - from);
    if (from < to && attention->soft_cap != 0.0F)
        soft_cap(scores + from, to - from, attention->soft_cap);
    const float factor = online_softmax_advance(block->known + row, scores, seen.to - seen.from, from, to);
    if (factor != 1.0F)
        scale_row(block->out + row * value, value, factor);
}

// The queries first ... first + count - 1 of the block with the keys `seen`.
static void attend_keys(const struct block *block, const struct key_block *keys, struct span seen,
                        size_t first, size_t count)
{
    const size_t head_dim = block->attention->head_dim, value = value_dim(block->attention);
    const size_t row = first * block->group, rows = count * block->group;
    const size_t skip = seen.from - keys->keys.from, num_keys = seen.to - seen.from;
    float *scores = block->scores + row * SCORE_STRIDE;

    gemm_nt(scores, SCORE_STRIDE, block->query + row * head_dim, head_dim,
            keys->key.data + skip * keys->key.stride, keys->key.stride, rows, num_keys, head_dim,
            block->attention->scale);
    for (size_t r = row; r < row + rows; r++)
        raise_row(block, r, seen);
    gemm_add_nn(block->out + row * value, value, scores, SCORE_STRIDE,
                keys->value.data + skip * keys->value.stride, keys->value.stride, rows, value, num_keys);
}

// The queries from `first` on, one after the other, that see all of these keys.
static size_t count_whole(const struct block *block, struct span keys, size_t first)
{
    const size_t start = block->past->tokens + block->first;
    size_t end = first;

    while (end < block->queries && start + end + 1 >= keys.to &&
           first_key(block->attention, start + end) <= keys.from)
        end++;
    return end - first;
}

// All queries of the block with a block of keys: those that see all of it at once, the others by and by.
static void attend_key_block(const struct block *block, struct span keys)
{
    const struct key_block found = find_keys(block, keys);
    const size_t step = larger(PARTIAL_ROWS / block->group, 1);
    const size_t start = block->past->tokens + block->first;
    size_t count;

    for (size_t q = larger(start, keys.from) - start; q < block->queries; q += count) {
        const size_t left = block->queries - q;
        count = count_whole(block, keys, q);
        if (count == 0)
            count = left < step ? left : step;
        const struct span seen = seen_keys(block->attention, keys, start + q, start + q + count - 1);
        if (seen.from < seen.to)
            attend_keys(block, &found, seen, q, count);
    }
}

// ---- one block of queries --------------------------------------------------------------------------------

// Copies the block's queries side by side.
static void begin_block(const struct block *block)
{
    const struct attention *attention = block->attention;
    const size_t size = attention->head_dim, first_head = block->key_head * block->group;

    for (size_t r = 0; r < block->queries * block->group; r++) {
        const size_t token = block->first + r / block->group, head = first_head + r % block->group;
        memcpy(block->query + r * size,
               attention->query + token * attention->token_stride + head * attention->query_head_stride,
               size * sizeof(float));
        // A sink is a number that came before all others.
        block->known[r] = attention->sinks != NULL ? (struct online_softmax){attention->sinks[head], 1.0}
                                                   : (struct online_softmax){-INFINITY, 0.0};
    }
    memset(block->out, 0, block->queries * block->group * value_dim(attention) * sizeof(float));
}

static void end_block(const struct block *block, float *out)
{
    const size_t value = value_dim(block->attention), stride = block->attention->num_heads * value;

    for (size_t r = 0; r < block->queries * block->group; r++) {
        const size_t token = block->first + r / block->group;
        const size_t head = block->key_head * block->group + r % block->group;
        const float *sums = block->out + r * value, scale = (float)(1.0 / block->known[r].sum);
        float *target = out + token * stride + head * value;
        for (size_t i = 0; i < value; i++)
            target[i] = sums[i] * scale;
    }
}

static void attend_block(float *out, const struct block *block)
{
    const size_t start = block->past->tokens + block->first, end = start + block->queries;

    begin_block(block);
    for (size_t key = first_key(block->attention, start) / KEY_BLOCK * KEY_BLOCK; key < end; key += KEY_BLOCK)
        attend_key_block(block, (struct span){key, key + KEY_BLOCK < end ? key + KEY_BLOCK : end});
    end_block(block, out);
}

// All queries: block b of the queries of a group of heads begins at token b * most.
struct blocks {
    const struct attention *attention;
    const struct attention_past *past;
    float *out, *workspace;
    size_t tokens, group, most, count; // of blocks
};

static size_t count_blocks(const struct blocks *blocks)
{
    return (blocks->tokens + blocks->most - 1) / blocks->most;
}

static void cut_queries(struct blocks *blocks)
{
    const size_t groups = blocks->attention->num_key_value_heads, threads = threads_count();
    size_t rows = ROW_BLOCK;

    blocks->most = larger(rows / blocks->group, 1);
    while (threads > 1 && rows > LEAST_ROW_BLOCK &&
           groups * count_blocks(blocks) < BLOCKS_OF_THREAD * threads) {
        rows /= 2;
        blocks->most = larger(rows / blocks->group, 1);
    }
    blocks->count = count_blocks(blocks);
}

// The last blocks of a group, which take the longest, come first.
static void attend_blocks(const void *context, size_t first, size_t count, size_t thread)
{
    const struct blocks *blocks = context;
    struct block block = {.attention = blocks->attention, .past = blocks->past, .group = blocks->group};
    const size_t size = lay_out(NULL, block.attention, blocks->tokens, NULL);

    lay_out(&block, block.attention, blocks->tokens, blocks->workspace + thread * size);
    for (size_t i = first; i < first + count; i++) {
        block.key_head = i / blocks->count;
        block.first = (blocks->count - 1 - i % blocks->count) * blocks->most;
        const size_t left = blocks->tokens - block.first;
        block.queries = left < blocks->most ? left : blocks->most;
        attend_block(blocks->out, &block);
    }
}

void attention_forward_after(float *out, const struct attention *attention, const struct attention_past *past,
                             size_t tokens, float *workspace)
{
    struct blocks blocks = {.attention = attention,
                            .past = past,
                            .out = out,
                            .workspace = workspace,
                            .tokens = tokens,
                            .group = attention->num_heads / attention->num_key_value_heads};

    cut_queries(&blocks);
    threads_share(attention->num_key_value_heads * blocks.count, 1, attend_blocks, &blocks);
}

void attention_forward(float *out, const struct attention *attention, size_t tokens, float *workspace)
{
    const struct attention_past none = {0, NULL, NULL};
    attention_forward_after(out, attention, &none, tokens, workspace);
}
