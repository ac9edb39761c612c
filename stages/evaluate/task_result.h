// task_result.h - from log-likelihoods to accuracies, and their files. Nothing here is collective.
#pragma once
#include "io/file/run_paths.h"
#include "io/tasks/mmlu.h"
#include "io/tasks/tokens.h"
#include "stages/settings.h"

struct task_result {
    enum task_format format;
    uint64_t examples, truncated, hash;
    bool special_tokens;
    // Share of the examples in which the largest sum is the right option's; without choices
    // (io/tasks/format.h), in which the model writes the continuation. Of equal sums the first counts.
    double acc, acc_stderr;
    // Choices: the same with the sums divided by the bytes of the options' texts; by their characters, which
    // is what the reference's acc_norm divides by.
    double acc_norm, acc_norm_stderr, acc_norm_characters;
    // Without choices: exp(- mean log-likelihood of a continuation), not of a token.
    double perplexity, perplexity_stderr;
    // MMLU: of each subject. acc is then the share of all examples, and acc_stderr the reference's of a
    // group: from the pooled variance of its subjects.
    struct task_share {
        uint64_t examples, right;
    } subjects[MMLU_SUBJECTS];
};
// Accuracies: kernels/METHOD.md §13. The standard error of a share p of n is sqrt(p (1 - p) / (n - 1)), as in
// the reference; that of the perplexity is its first-order one, perplexity * s / sqrt(n) with s the sample
// deviation of the log-likelihoods (the reference draws bootstrap samples). NaN for a single example.
void task_score(struct task_result *result, const struct task_tokens *tokens, enum task_format format,
                const double *log_likelihood, const uint8_t *greedy);

// RUN/results/VARIANT/tasks/NAME.json (VARIANT "dense" for NULL).
void task_result_path(char path[PATH_SIZE], const struct settings *settings, size_t index,
                      const struct variant *variant);
enum status task_result_write(const struct task_result *result, const char *path,
                              const struct settings *settings, size_t index, const struct variant *variant,
                              struct error *err);
