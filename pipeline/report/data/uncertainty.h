// uncertainty.h - standard errors of what a report says, and of what pruning costs against the dense model.
#pragma once
#include "stages/settings.h"
#include <jansson.h>
#include <stdbool.h>

// Adds to a row with "perplexity" and "ratio" on settings->texts[text] (variant NULL: the dense model's) the
// members "perplexity_stderr" and "ratio_stderr": to first order in the errors of the mean cross-entropies.
// Windows are paired: that a text is hard for both models is no error of their ratio. Nothing is added where
// the results have no windows on record.
void perplexity_errors_add(json_t *row, const struct settings *settings, size_t text,
                           const struct variant *variant);

// Standard error of the mean of values, or of values less `minus`, window by window (minus NULL: of values).
// False with fewer than two values, or when `minus` has another number of them.
bool standard_error(double *error, const json_t *values, const json_t *minus);

// Standard error of tasks_mean's number (pipeline/record/results/task_results.h), from those of the tasks,
// which are independent of one another. False when one has none.
bool tasks_mean_error(double *error, const json_t *tasks);
