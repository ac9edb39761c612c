// tasks.h - measured accuracy on multiple-choice and continuation tasks (io/tasks/format.h), of the dense
// model and of every variant.
#pragma once
#include "io/file/run_paths.h"
#include "io/tasks/tokens.h"
#include "stages/layer/layer_weights.h"

// The tasks of the job, tokenised by rank 0 and known to all.
struct task_set {
    size_t count;               // of settings->tasks
    struct task_tokens *tokens; // [count]; without examples where the task is not wanted
    enum task_format *formats;  // [count] what was recognised
    uint64_t *hashes;           // [count] of the files
    uint64_t *special_tokens;   // [count] whether texts have them around
};
// Reads those of settings->tasks that are wanted[]. Freed with task_set_free.
enum status task_set_create(struct task_set *set, const struct stage *stage, const bool *wanted,
                            struct error *err);
void task_set_free(struct task_set *set); // a zeroed one is fine

// The summed log-likelihood (natural) of each option's continuation, log_likelihood[num_options], and whether
// each of its tokens is the most probable one, greedy[num_options]. What the options of an example have in
// common is computed once. Examples are split over the team; variant NULL: the dense model.
enum status task_log_likelihoods(double *log_likelihood, uint8_t *greedy, const struct stage *stage,
                                 struct layer_weights *weights, const struct task_tokens *tokens,
                                 const struct variant *variant, struct error *err);

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
};
// Accuracies: kernels/METHOD.md §13. The standard error of a share p of n is sqrt(p (1 - p) / (n - 1)), as in
// the reference; that of the perplexity is its first-order one, perplexity * s / sqrt(n) with s the sample
// deviation of the log-likelihoods (the reference draws bootstrap samples). NaN for a single example.
void task_score(struct task_result *result, const struct task_tokens *tokens, bool choices,
                const double *log_likelihood, const uint8_t *greedy);

// All of the above for task `index` of the set.
enum status evaluate_task(struct task_result *result, const struct stage *stage,
                          struct layer_weights *weights, const struct task_set *set, size_t index,
                          const struct variant *variant, struct error *err);

// RUN/results/VARIANT/tasks/NAME.json (VARIANT "dense" for NULL). Not collective.
void task_result_path(char path[PATH_SIZE], const struct settings *settings, size_t index,
                      const struct variant *variant);
enum status task_result_write(const struct task_result *result, const char *path,
                              const struct settings *settings, size_t index, const struct variant *variant,
                              struct error *err);
enum status task_result_read(struct task_result *result, const char *path, struct error *err);

// Tokens that a rank keeps hidden states of at a time, when examples have `longest` at most. Not collective.
size_t task_tokens_in_memory(const struct model *model, size_t longest);
