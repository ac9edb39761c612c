#include "kernels/forward/logits.h"
#include "kernels/threads.h"
#include "kernels/workspace.h"

#include <math.h>
#include <string.h>

// Rows of the vocabulary per chunk, and positions per block: together they bound the logits that exist at
// once.
enum { VOCABULARY_CHUNK = 1024, POSITION_BLOCK = 1024 };
// With threads as many chunks are multiplied at a time, up to so many. Each is summed by itself all the same.
enum { MOST_CHUNKS = 8 };
// Positions per block where several hidden states are compared, whose normed copies exist at once.
enum { COMPARISON_BLOCK = 256 };

// The workspace's parts.
struct scratch {
    size_t block, most; // positions, rows of the vocabulary
    float *normed;      // [block, hidden]
    float *weight;      // [most, hidden], expanded
    float *logits;      // [block, most]
    double *sum;        // [block] of e^(logit - max) so far
    float *max;         // [block], of the logits so far
    float *targets;     // [block], the target's logit
};

static size_t chunks_at_once(const struct lm_head *head)
{
    const size_t most = threads_count() < MOST_CHUNKS ? threads_count() : MOST_CHUNKS;

    return head->vocab_size < most * VOCABULARY_CHUNK ? head->vocab_size : most * VOCABULARY_CHUNK;
}

static size_t lay_out(struct scratch *scratch, const struct lm_head *head, size_t tokens, float *workspace)
{
    const size_t block = tokens < POSITION_BLOCK ? tokens : POSITION_BLOCK;
    const size_t chunk = chunks_at_once(head);
    const size_t normed = 0;
    const size_t weight = normed + cache_lines(block * head->hidden_size);
    const size_t logits = weight + cache_lines(chunk * head->hidden_size);
    const size_t sum = logits + cache_lines(block * chunk);
    const size_t max = sum + cache_lines(block * (sizeof(double) / sizeof(float)));
    const size_t targets = max + cache_lines(block);

    if (workspace != NULL)
        *scratch = (struct scratch){block,
                                    chunk,
                                    workspace + normed,
                                    workspace + weight,
                                    workspace + logits,
                                    (double *)(void *)(workspace + sum),
                                    workspace + max,
                                    workspace + targets};
    return targets + cache_lines(block);
}

size_t lm_head_workspace_size(const struct lm_head *head, size_t tokens)
{
    return lay_out(NULL, head, tokens, NULL);
}

// chunk[count, hidden] <- the vocabulary's rows first ... first + count - 1 in float32.
static void expand_chunk(float *chunk, const struct lm_head *head, size_t first, size_t count)
{
    const size_t row_bytes = head->hidden_size * dtype_size(head->dtype);
    const unsigned char *weight = head->weight;
    if (head->read != NULL)
        head->read(chunk, weight, first * head->hidden_size, count * head->hidden_size);
    else
        dtype_to_f32(chunk, weight + first * row_bytes, head->dtype, count * head->hidden_size);
}

// Part of the vocabulary: its rows first ... first + count - 1 in float32.
struct chunk {
    const float *weight; // [count, hidden]
    size_t first, count;
};

// Logits of rows by the rows of the vocabulary from `first` on, before bias and cap.
struct finish {
    const struct lm_head *head;
    float *logits;
    size_t stride, first, count;
};

static void finish_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct finish *finish = context;
    const struct lm_head *head = finish->head;

    (void)thread;
    for (size_t r = first; r < first + count; r++) {
        float *row = finish->logits + r * finish->stride;
        for (size_t i = 0; i < finish->count && head->bias != NULL; i++)
            row[i] += head->bias[finish->first + i];
        if (head->logit_soft_cap != 0.0F)
            soft_cap(row, finish->count, head->logit_soft_cap);
    }
}

// out[rows, count] (stride in floats) <- logits of normed[rows, hidden] by a chunk.
static void multiply_chunk(float *out, size_t stride, const struct lm_head *head, const float *normed,
                           size_t rows, const struct chunk *chunk)
{
    const size_t hidden = head->hidden_size, count = chunk->count;

    gemm_nt_as(head->compute, out, stride, normed, hidden, chunk->weight, hidden, rows, count, hidden,
               head->logit_scale != 0.0F ? head->logit_scale : 1.0F);
    if (head->bias != NULL || head->logit_soft_cap != 0.0F)
        threads_share(rows, threads_grain(count), finish_rows,
                      &(struct finish){head, out, stride, chunk->first, count});
}

// out[rows, count] (stride in floats) <- logits of the vocabulary's rows first ... first + count - 1.
static void chunk_logits(float *out, size_t stride, const struct lm_head *head, const struct scratch *scratch,
                         size_t rows, size_t first, size_t count)
{
    const struct chunk chunk = {scratch->weight, first, count};

    expand_chunk(scratch->weight, head, first, count);
    multiply_chunk(out, stride, head, scratch->normed, rows, &chunk);
}

// Takes one more chunk of logits of one position into its running maximum and sum.
static void accumulate(float *max, double *sum, const float *logits, size_t count)
{
    const float largest = max_of(logits, count);
    if (largest > *max) {
        *sum *= exp((double)*max - (double)largest);
        *max = largest;
    }
    *sum += sum_exp(logits, count, *max);
}

static int32_t index_of(const float *x, size_t n, float value)
{
    size_t i = 0;
    while (i < n && x[i] != value)
        i++;
    return (int32_t)i;
}

static size_t row_stride(const struct lm_head *head)
{
    return head->state_size != 0 ? head->state_size : head->hidden_size;
}

// normed[rows, hidden_size] <- hidden[rows, state_size].
static void normalise(float *normed, const struct lm_head *head, const float *hidden, size_t rows)
{
    const size_t size = head->hidden_size;

    for (size_t r = 0; r < rows; r++)
        memcpy(normed + r * size, hidden + r * row_stride(head), size * sizeof *hidden);
    if (norm_is_there(&head->norm))
        norm_forward(normed, normed, rows, size, &head->norm, head->norm_kind, head->norm_epsilon);
}

// Before the first chunk of a block of positions.
static void block_begin(const struct lm_pass *pass, const struct scratch *scratch, size_t rows)
{
    normalise(scratch->normed, pass->head, pass->hidden + pass->position * row_stride(pass->head), rows);
    for (size_t r = 0; r < rows; r++) {
        scratch->max[r] = -INFINITY;
        scratch->sum[r] = 0.0;
    }
}

// Takes one chunk of logits, by the rows of the vocabulary from `first` on, into what is known of position r.
static void take_chunk(const struct lm_pass *pass, const struct scratch *scratch, size_t r,
                       const float *logits, size_t first, size_t count)
{
    const float before = scratch->max[r];
    const int32_t target = pass->targets[pass->position + r];

    accumulate(&scratch->max[r], &scratch->sum[r], logits, count);
    if (pass->greedy != NULL && scratch->max[r] > before)
        pass->greedy[pass->position + r] = (int32_t)first + index_of(logits, count, scratch->max[r]);
    if (target >= 0 && (size_t)target >= first && (size_t)target < first + count)
        scratch->targets[r] = logits[(size_t)target - first];
}

// Logits of a block of positions by the rows of the vocabulary from pass->row on.
struct advance {
    const struct lm_pass *pass;
    const struct scratch *scratch;
    size_t count;
};

static void take_logits(const void *context, size_t first, size_t count, size_t thread)
{
    const struct advance *advance = context;
    const size_t all = advance->count;

    (void)thread;
    for (size_t r = first; r < first + count; r++)
        for (size_t i = 0; i < all; i += VOCABULARY_CHUNK)
            take_chunk(advance->pass, advance->scratch, r, advance->scratch->logits + r * all + i,
                       advance->pass->row + i, all - i < VOCABULARY_CHUNK ? all - i : VOCABULARY_CHUNK);
}

static void block_advance(const struct lm_pass *pass, const struct scratch *scratch, size_t rows,
                          size_t count)
{
    const struct advance advance = {pass, scratch, count};

    chunk_logits(scratch->logits, count, pass->head, scratch, rows, pass->row, count);
    threads_share(rows, threads_grain(count), take_logits, &advance);
}

static void block_end(const struct lm_pass *pass, const struct scratch *scratch, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        pass->log_likelihood[pass->position + r] =
            pass->targets[pass->position + r] < 0
                ? 0.0
                : (double)scratch->targets[r] - (double)scratch->max[r] - log(scratch->sum[r]);
}

bool lm_pass_step(struct lm_pass *pass)
{
    struct scratch scratch = {0};

    if (pass->position >= pass->tokens)
        return false;
    lay_out(&scratch, pass->head, pass->tokens, pass->workspace);
    const size_t left = pass->tokens - pass->position, rows = left < POSITION_BLOCK ? left : POSITION_BLOCK;
    const size_t unseen = pass->head->vocab_size - pass->row;
    const size_t count = unseen < scratch.most ? unseen : scratch.most;

    if (pass->row == 0)
        block_begin(pass, &scratch, rows);
    block_advance(pass, &scratch, rows, count);
    pass->row += count;
    if (pass->row == pass->head->vocab_size) {
        block_end(pass, &scratch, rows);
        pass->position += rows;
        pass->row = 0;
    }
    return true;
}

void lm_head_log_likelihood(double *log_likelihood, int32_t *greedy, const struct lm_head *head,
                            const float *hidden, const int32_t *targets, size_t tokens, float *workspace)
{
    struct lm_pass pass = {.head = head,
                           .hidden = hidden,
                           .targets = targets,
                           .tokens = tokens,
                           .log_likelihood = log_likelihood,
                           .greedy = greedy,
                           .workspace = workspace};

    while (lm_pass_step(&pass))
        ;
}

void lm_head_logits(float *logits, const struct lm_head *head, const float *hidden, size_t tokens,
                    float *workspace)
{
    struct scratch scratch = {0};

    lay_out(&scratch, head, tokens, workspace);
    for (size_t first = 0; first < tokens; first += POSITION_BLOCK) {
        const size_t rows = tokens - first < POSITION_BLOCK ? tokens - first : POSITION_BLOCK;
        normalise(scratch.normed, head, hidden + first * row_stride(head), rows);
        for (size_t row = 0; row < head->vocab_size; row += scratch.most) {
            const size_t left = head->vocab_size - row, count = left < scratch.most ? left : scratch.most;
            chunk_logits(logits + first * head->vocab_size + row, head->vocab_size, head, &scratch, rows, row,
                         count);
        }
    }
}

// ---- comparing --------------------------------------------------------------------------------------------

// One model's logits of a block of positions: those of the current chunk, and what is known of the chunks so
// far. The first is the reference's.
struct stream {
    float *normed;  // [block, hidden]
    float *logits;  // [block, chunk]
    double *sum;    // [block] of e^(logit - max)
    double *cross;  // [block] of e^(p - max p) (p - q): p the reference's logits, max p its maximum so far
    float *max;     // [block]
    float *targets; // [block], the target's logit
};

static size_t lay_out_stream(struct stream *stream, size_t block, size_t chunk, size_t hidden_size,
                             float *workspace)
{
    const size_t doubles = sizeof(double) / sizeof(float);
    const size_t normed = 0;
    const size_t logits = normed + cache_lines(block * hidden_size);
    const size_t sum = logits + cache_lines(block * chunk);
    const size_t cross = sum + cache_lines(block * doubles);
    const size_t max = cross + cache_lines(block * doubles);
    const size_t targets = max + cache_lines(block);

    if (workspace != NULL)
        *stream = (struct stream){workspace + normed,
                                  workspace + logits,
                                  (double *)(void *)(workspace + sum),
                                  (double *)(void *)(workspace + cross),
                                  workspace + max,
                                  workspace + targets};
    return targets + cache_lines(block);
}

static size_t comparison_block(size_t tokens)
{
    return tokens < COMPARISON_BLOCK ? tokens : COMPARISON_BLOCK;
}

static size_t comparison_chunk(const struct lm_head *head)
{
    return head->vocab_size < VOCABULARY_CHUNK ? head->vocab_size : VOCABULARY_CHUNK;
}

size_t lm_head_compare_workspace_size(const struct lm_head *head, size_t count, size_t tokens)
{
    const size_t chunk = comparison_chunk(head);
    return cache_lines(chunk * head->hidden_size) +
           (count + 1) * lay_out_stream(NULL, comparison_block(tokens), chunk, head->hidden_size, NULL);
}

// A block of positions, while it goes through the vocabulary.
struct block {
    const struct lm_head *head;
    const int32_t *targets; // [rows]
    size_t rows;
    float *chunk; // [chunk, hidden]
};

static void stream_begin(struct stream *stream, const struct block *block, const float *hidden)
{
    normalise(stream->normed, block->head, hidden, block->rows);
    for (size_t r = 0; r < block->rows; r++) {
        stream->max[r] = -INFINITY;
        stream->sum[r] = stream->cross[r] = 0.0;
    }
}

// Logits of a stream by the vocabulary's rows first ... first + count - 1.
struct stream_part {
    struct stream *stream;
    const struct block *block;
    size_t first, count;
    const struct stream *reference; // of cross_rows
    const float *old;
};

static void stream_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct stream_part *part = context;
    struct stream *stream = part->stream;

    (void)thread;
    for (size_t r = first; r < first + count; r++) {
        const float *logits = stream->logits + r * part->count;
        const int32_t target = part->block->targets[r];
        accumulate(&stream->max[r], &stream->sum[r], logits, part->count);
        if (target >= 0 && (size_t)target >= part->first && (size_t)target < part->first + part->count)
            stream->targets[r] = logits[(size_t)target - part->first];
    }
}

// Takes the vocabulary's rows first ... first + count - 1 into a stream.
static void stream_advance(struct stream *stream, const struct block *block, size_t first, size_t count)
{
    const struct chunk chunk = {block->chunk, first, count};

    multiply_chunk(stream->logits, count, block->head, stream->normed, block->rows, &chunk);
    threads_share(block->rows, threads_grain(count), stream_rows,
                  &(struct stream_part){.stream = stream, .block = block, .first = first, .count = count});
}

static void cross_rows(const void *context, size_t first, size_t count, size_t thread)
{
    const struct stream_part *part = context;
    const struct stream *stream = part->stream, *reference = part->reference;
    const size_t all = part->count;

    (void)thread;
    for (size_t r = first; r < first + count; r++) {
        if (reference->max[r] > part->old[r])
            stream->cross[r] *= exp((double)part->old[r] - (double)reference->max[r]);
        stream->cross[r] +=
            sum_exp_difference(reference->logits + r * all, stream->logits + r * all, all, reference->max[r]);
    }
}

// Adds the current chunk to the cross sums. old[rows]: the reference's maxima before this chunk.
static void stream_cross(struct stream *stream, const struct stream *reference, const float *old, size_t rows,
                         size_t count)
{
    threads_share(
        rows, threads_grain(count), cross_rows,
        &(struct stream_part){.stream = stream, .reference = reference, .old = old, .count = count});
}

// sum_v p_v (log p_v - log q_v) = E_p[logit p - logit q] - log sum e^logit p + log sum e^logit q
static void stream_end(struct lm_comparison *comparison, const struct stream *stream,
                       const struct stream *reference, const struct block *block)
{
    for (size_t r = 0; r < block->rows; r++) {
        const double normaliser = (double)stream->max[r] + log(stream->sum[r]);
        comparison->divergence += stream->cross[r] / reference->sum[r] -
                                  ((double)reference->max[r] + log(reference->sum[r])) + normaliser;
        if (block->targets[r] >= 0)
            comparison->log_likelihood += (double)stream->targets[r] - normaliser;
    }
}

// streams[count + 1]: the reference's, then those of the comparisons.
static void compare_block(struct lm_comparison *comparisons, struct stream *streams, size_t count,
                          const struct block *block)
{
    const size_t vocabulary = block->head->vocab_size, most = comparison_chunk(block->head);
    float old[COMPARISON_BLOCK];

    for (size_t first = 0; first < vocabulary; first += most) {
        const size_t left = vocabulary - first, width = left < most ? left : most;
        memcpy(old, streams[0].max, block->rows * sizeof *old);
        expand_chunk(block->chunk, block->head, first, width);
        for (size_t k = 0; k <= count; k++) {
            stream_advance(&streams[k], block, first, width);
            if (k > 0)
                stream_cross(&streams[k], &streams[0], old, block->rows, width);
        }
    }
    for (size_t k = 0; k < count; k++)
        stream_end(&comparisons[k], &streams[k + 1], &streams[0], block);
}

void lm_head_compare(struct lm_comparison *comparisons, size_t count, const struct lm_head *head,
                     const float *reference, const int32_t *targets, size_t tokens, float *workspace)
{
    const size_t hidden_size = head->hidden_size, chunk = comparison_chunk(head);
    const size_t size = lay_out_stream(NULL, comparison_block(tokens), chunk, hidden_size, NULL);
    struct stream streams[LM_MOST_COMPARISONS + 1];
    float *rest = workspace + cache_lines(chunk * hidden_size);

    for (size_t k = 0; k <= count; k++)
        lay_out_stream(&streams[k], comparison_block(tokens), chunk, hidden_size, rest + k * size);
    for (size_t k = 0; k < count; k++)
        comparisons[k].divergence = comparisons[k].log_likelihood = 0;
    for (size_t first = 0; first < tokens; first += COMPARISON_BLOCK) {
        const size_t left = tokens - first, rows = left < COMPARISON_BLOCK ? left : COMPARISON_BLOCK;
        const struct block block = {head, targets + first, rows, workspace};
        stream_begin(&streams[0], &block, reference + first * row_stride(head));
        for (size_t k = 0; k < count; k++)
            stream_begin(&streams[k + 1], &block, comparisons[k].hidden + first * row_stride(head));
        compare_block(comparisons, streams, count, &block);
    }
}
