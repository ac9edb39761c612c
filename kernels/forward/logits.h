// logits.h - from hidden states to log-likelihoods.
#pragma once
#include "kernels/dtype.h"
#include "kernels/forward/decoder.h"
#include <stdint.h>

// The language-model head over vocabulary chunks: logits are never held for the whole vocabulary x all
// positions.
struct lm_head {
    const void *weight; // [vocab, hidden_size] of dtype
    enum dtype dtype;
    enum compute compute;
    // As of an embedding (embedding.h), or NULL.
    void (*read)(float *values, const void *weight, size_t first, size_t count);
    size_t vocab_size, hidden_size;
    size_t state_size; // floats from one position's hidden states to the next's (layer.h); 0: hidden_size
    struct norm norm;  // the final norm, if it is there
    enum norm_kind norm_kind;
    float norm_epsilon;
    const float *bias;    // [vocab], added to the logits, or NULL
    float logit_scale;    // logits are multiplied by it, before the bias; 0: they are not
    float logit_soft_cap; // then they become c * tanh(logit / c); 0: they do not
};
// Floats of workspace for the functions below.
size_t lm_head_workspace_size(const struct lm_head *head, size_t tokens);
// One pass over the vocabulary, in steps, so that the caller may stop between two of them.
struct lm_pass {
    const struct lm_head *head;
    const float *hidden;    // [tokens, state_size], not changed; the same below
    const int32_t *targets; // [tokens]; a negative one gives 0 (the position is not asked for)
    size_t tokens;
    double *log_likelihood; // [tokens] out: log-probability (natural) of the target
    int32_t *greedy;        // [tokens] out: the id with the largest logit (lowest id of equals), or NULL
    float *workspace;
    size_t position, row; // where it is: begin with 0
};
// Takes one chunk of the vocabulary for one block of positions; false when there was none left, and all is
// computed. Streaming log-sum-exp with sums in double.
bool lm_pass_step(struct lm_pass *pass);
// The whole pass.
void lm_head_log_likelihood(double *log_likelihood, int32_t *greedy, const struct lm_head *head,
                            const float *hidden, const int32_t *targets, size_t tokens, float *workspace);
// logits[tokens, vocab_size] from the same chunks. For tests, which compare them with a reference.
void lm_head_logits(float *logits, const struct lm_head *head, const float *hidden, size_t tokens,
                    float *workspace);

// How the distributions of next tokens after `hidden` differ from those after the reference: sums over the
// positions, in their order.
struct lm_comparison {
    const float *hidden;   // [tokens, state_size]
    double divergence;     // sum_t KL(p_t | q_t) = sum_v p_v (log p_v - log q_v), p the reference's, in nats
    double log_likelihood; // sum_t log q_t(targets_t); of the positions whose target is not negative
};
enum { LM_MOST_COMPARISONS = 16 };
// Fills divergence and log_likelihood of comparisons[count], count <= LM_MOST_COMPARISONS, from their
// `hidden`; `reference` is [tokens, state_size]. Every chunk of the vocabulary is expanded, and the
// reference's logits are computed, once for all of them. What comes out does not depend on count. Divergences
// of equal logits are 0 but for rounding (about 1e-7), which may make them negative.
void lm_head_compare(struct lm_comparison *comparisons, size_t count, const struct lm_head *head,
                     const float *reference, const int32_t *targets, size_t tokens, float *workspace);
// Floats of its workspace.
size_t lm_head_compare_workspace_size(const struct lm_head *head, size_t count, size_t tokens);
