#include "kernels/forward/logits.h"
#include "kernels/workspace.h"

#include <math.h>
#include <string.h>

// Rows of the vocabulary per chunk, and positions per block: together they bound the logits that exist at
// once.
enum { VOCABULARY_CHUNK = 1024, POSITION_BLOCK = 1024 };

// The workspace's parts.
struct scratch {
    size_t block, chunk;
    float *normed;  // [block, hidden]
    float *weight;  // [chunk, hidden], expanded
    float *logits;  // [block, chunk]
    double *sum;    // [block] of e^(logit - max) so far
    float *max;     // [block], of the logits so far
    float *targets; // [block], the target's logit
};

static size_t lay_out(struct scratch *scratch, const struct lm_head *head, size_t tokens, float *workspace)
{
    const size_t block = tokens < POSITION_BLOCK ? tokens : POSITION_BLOCK;
    const size_t chunk = head->vocab_size < VOCABULARY_CHUNK ? head->vocab_size : VOCABULARY_CHUNK;
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

// out[rows, count] (stride in floats) <- logits of the vocabulary's rows first ... first + count - 1.
static void chunk_logits(float *out, size_t stride, const struct lm_head *head, const struct scratch *scratch,
                         size_t rows, size_t first, size_t count)
{
    const size_t row_bytes = head->hidden_size * dtype_size(head->dtype);
    const unsigned char *weight = (const unsigned char *)head->weight + first * row_bytes;

    dtype_to_f32(scratch->weight, weight, head->dtype, count * head->hidden_size);
    gemm_nt(out, stride, scratch->normed, head->hidden_size, scratch->weight, head->hidden_size, rows, count,
            head->hidden_size, 1.0F);
    for (size_t r = 0; r < rows && head->logit_soft_cap != 0.0F; r++)
        soft_cap(out + r * stride, count, head->logit_soft_cap);
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

static void normalise(const struct scratch *scratch, const struct lm_head *head, const float *hidden,
                      size_t rows)
{
    if (head->norm.weight == NULL) {
        memcpy(scratch->normed, hidden, rows * head->hidden_size * sizeof *hidden);
        return;
    }
    norm_forward(scratch->normed, hidden, rows, head->hidden_size, &head->norm, head->norm_kind,
                 head->norm_epsilon);
}

static void block_log_likelihood(double *log_likelihood, int32_t *greedy, const struct lm_head *head,
                                 const int32_t *targets, size_t rows, const struct scratch *scratch)
{
    for (size_t r = 0; r < rows; r++) {
        scratch->max[r] = -INFINITY;
        scratch->sum[r] = 0.0;
    }
    for (size_t first = 0; first < head->vocab_size; first += scratch->chunk) {
        const size_t left = head->vocab_size - first, count = left < scratch->chunk ? left : scratch->chunk;
        chunk_logits(scratch->logits, count, head, scratch, rows, first, count);
        for (size_t r = 0; r < rows; r++) {
            const float *logits = scratch->logits + r * count;
            const float before = scratch->max[r];
            accumulate(&scratch->max[r], &scratch->sum[r], logits, count);
            if (greedy != NULL && scratch->max[r] > before)
                greedy[r] = (int32_t)first + index_of(logits, count, scratch->max[r]);
            if (targets[r] >= 0 && (size_t)targets[r] >= first && (size_t)targets[r] < first + count)
                scratch->targets[r] = logits[(size_t)targets[r] - first];
        }
    }
    for (size_t r = 0; r < rows; r++)
        log_likelihood[r] =
            targets[r] < 0 ? 0.0
                           : (double)scratch->targets[r] - (double)scratch->max[r] - log(scratch->sum[r]);
}

void lm_head_log_likelihood(double *log_likelihood, int32_t *greedy, const struct lm_head *head,
                            const float *hidden, const int32_t *targets, size_t tokens, float *workspace)
{
    struct scratch scratch;

    lay_out(&scratch, head, tokens, workspace);
    for (size_t first = 0; first < tokens; first += POSITION_BLOCK) {
        const size_t rows = tokens - first < POSITION_BLOCK ? tokens - first : POSITION_BLOCK;
        normalise(&scratch, head, hidden + first * head->hidden_size, rows);
        block_log_likelihood(log_likelihood + first, greedy != NULL ? greedy + first : NULL, head,
                             targets + first, rows, &scratch);
    }
}

void lm_head_logits(float *logits, const struct lm_head *head, const float *hidden, size_t tokens,
                    float *workspace)
{
    struct scratch scratch;

    lay_out(&scratch, head, tokens, workspace);
    for (size_t first = 0; first < tokens; first += POSITION_BLOCK) {
        const size_t rows = tokens - first < POSITION_BLOCK ? tokens - first : POSITION_BLOCK;
        normalise(&scratch, head, hidden + first * head->hidden_size, rows);
        for (size_t row = 0; row < head->vocab_size; row += scratch.chunk) {
            const size_t left = head->vocab_size - row, count = left < scratch.chunk ? left : scratch.chunk;
            chunk_logits(logits + first * head->vocab_size + row, head->vocab_size, head, &scratch, rows, row,
                         count);
        }
    }
}
