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
    size_t vocab_size, hidden_size;
    struct norm norm; // the final norm; its weight NULL: none
    enum norm_kind norm_kind;
    float norm_epsilon;
    float logit_soft_cap; // logits become c * tanh(logit / c); 0: they do not
};
// Floats of workspace for the two functions below.
size_t lm_head_workspace_size(const struct lm_head *head, size_t tokens);
// Log-probability (natural) of targets[tokens] after hidden[tokens, hidden_size]; hidden is not changed; a
// negative target gives 0 (the position is not asked for). Streaming log-sum-exp with sums in double. greedy
// (may be NULL): the id with the largest logit (lowest id of equals).
void lm_head_log_likelihood(double *log_likelihood, int32_t *greedy, const struct lm_head *head,
                            const float *hidden, const int32_t *targets, size_t tokens, float *workspace);
// logits[tokens, vocab_size] from the same chunks. For tests, which compare them with a reference.
void lm_head_logits(float *logits, const struct lm_head *head, const float *hidden, size_t tokens,
                    float *workspace);
