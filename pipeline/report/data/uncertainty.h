// uncertainty.h - standard errors of what a report says, and of what pruning costs against the dense model.
#pragma once
#include "stages/settings.h"
#include <jansson.h>
#include <stdbool.h>

// [mean cross-entropy of each window] of the variant's perplexity (NULL: the dense model's). New reference;
// NULL when the result is not there or was written by a version that kept none.
json_t *window_nll_read(const struct settings *settings, const struct variant *variant);

// Standard error of the mean of values, or of values less `minus`, window by window (minus NULL: of values).
// False with fewer than two values, or when `minus` has another number of them.
bool standard_error(double *error, const json_t *values, const json_t *minus);

// Standard error of tasks_mean's number (pipeline/record/task_results.h), from those of the tasks, which are
// independent of one another. False when one has none.
bool tasks_mean_error(double *error, const json_t *tasks);
