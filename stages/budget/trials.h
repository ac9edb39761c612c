// trials.h - the search for the sparsest model within a budget, as files: RUN/budget/VARIANT/attempt-k.json
// says how an attempt fared, RUN/budget/VARIANT/result.json which one is the variant, and
// RUN/budget/dense/result.json what the dense model's perplexity is on the same text (held_out.h).
//
// Which sparsity an attempt has follows from the attempts before it (kernels/pruning/allocation/budget.h):
// nothing else is remembered, so that a search that was killed goes on as if it had not been. Not collective.
#pragma once
#include "io/file/run_paths.h"
#include "kernels/pruning/allocation/budget.h"
#include "stages/stage.h"
#include <jansson.h>

// Of a variant's search, as far as it got.
struct budget_trials {
    bool has_dense;
    double dense; // the dense model's mean cross-entropy on the held-out text
    struct budget_goal goal;
    size_t count;
    struct budget_trial trials[BUDGET_ATTEMPTS];
};

// variant: searched, or an attempt; the first `most` attempts are looked for. What is not there, and all
// that follows it, is left out.
void budget_trials_read(struct budget_trials *search, const struct settings *settings,
                        const struct variant *variant, size_t most);
// Whether the search has ended: no attempt is made any more.
bool budget_is_over(const struct budget_trials *search);

struct budget_result {
    bool found;      // a model within the bound
    size_t attempt;  // that the variant is; where none is found, the last one
    double sparsity; // of it
    double mean_nll; // of it, on the held-out text
    double dense;    // the dense model's
};
// STATUS_FAILED or STATUS_DAMAGED where there is no such file that can be read.
enum status budget_result_read(struct budget_result *result, const struct settings *settings,
                               const struct variant *variant, struct error *err);
// Whether the search ended without a model within its bound.
bool budget_is_broken(const struct settings *settings, const struct variant *variant);

// *resolved <- the variant, with the sparsity that its search has found, or that its attempt is to have. Of
// another one: a copy. STATUS_FAILED where the search has not come so far.
enum status budget_resolve(struct variant *resolved, const struct settings *settings,
                           const struct variant *variant, struct error *err);

// RUN/budget/NAME/result.json (variant NULL: the dense model's), or attempt-k.json for an attempt.
void budget_path(char path[PATH_SIZE], const struct settings *settings, const struct variant *variant);

// [{"sparsity", "perplexity", "ratio"}] of the attempts that were measured, in their order. New reference.
json_t *budget_attempts_json(const struct budget_trials *search);

// What was measured on the held-out text.
struct budget_measured {
    double mean_nll;
    uint64_t sequences, length;
};
// Writes the file of the dense model (NULL) or of an attempt of this sparsity.
enum status budget_measured_write(const struct budget_measured *measured, const struct settings *settings,
                                  const struct variant *variant, double sparsity, struct error *err);
// Writes the file of a variant whose search is over.
enum status budget_result_write(const struct budget_trials *search, const struct settings *settings,
                                const struct variant *variant, struct error *err);
