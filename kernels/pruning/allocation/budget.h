// budget.h - the sparsest model whose loss stays within a bound: which sparsity is tried next, and when the
// search is over (kernels/METHOD.md §5).
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { BUDGET_ATTEMPTS = 6 };

// A model that was pruned and measured.
struct budget_trial {
    double sparsity;
    double excess; // log(perplexity / that of the dense model), finite; may be below 0
};

struct budget_goal {
    double bound;   // the excess that is allowed, above 0
    double highest; // the sparsity that is never exceeded, below 1
};

// A search that found nothing within its bound has tried this sparsity.
#define BUDGET_LOWEST 0.02

// The least excess that ends the search: within 0.5 % of the bound's perplexity, and within a tenth of a
// bound that is close to the dense model.
double budget_enough(double bound);

// The sparsest of trials[count] whose excess is within the bound; count: there is none.
size_t budget_best(const struct budget_goal *goal, const struct budget_trial *trials, size_t count);

// The sparsity to try after trials[count], a multiple of 0.001 from BUDGET_LOWEST to goal->highest that was
// not tried; below 0: the search is over. A function of its arguments alone.
double budget_next(const struct budget_goal *goal, const struct budget_trial *trials, size_t count);
