// task_results.h - the tasks' results in a run directory, for tables, reports and provenance.
#pragma once
#include "stages/settings.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

// {TASK: {"acc", "acc_stderr", ...}} of the dense model (variant NULL) or a variant, the file's own members;
// tasks without a result are left out. missing (may be NULL) gets a line for each that cannot be read. New
// reference.
json_t *tasks_to_json(const struct settings *settings, const struct variant *variant, json_t *missing);

// Mean of "acc" over the tasks of tasks_to_json's object, as the field reports it; false when there is none.
bool tasks_mean(double *mean, const json_t *tasks);

// A table of the accuracies: a row for the dense model and each variant, a column for each task and for their
// mean, shares in per cent as the field writes them. Nothing without tasks.
void tasks_print(const struct settings *settings, FILE *out);
