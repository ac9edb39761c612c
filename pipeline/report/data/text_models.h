// text_models.h - the results on one of several texts, in the place of those on the first one.
#pragma once
#include "stages/settings.h"
#include <jansson.h>

// Adds "perplexity_stderr" and, of a variant, "ratio_stderr" (uncertainty.h) to each result of
// text_results_to_json (pipeline/record/results/text_results.h). NULL is fine.
void text_errors_add(json_t *texts, const struct settings *settings, const struct variant *variant);

// The names of all "texts" or "tasks" (kind) that any of "models" (gather.h) was measured on: {NAME: true},
// in the order of the job. No texts where a job has one without a name. New reference.
json_t *measured_names(const json_t *models, const char *kind);
// The same models as if they had been measured on this text alone. New reference; rows share what is theirs
// anyway.
json_t *text_models(const json_t *models, const char *name);
