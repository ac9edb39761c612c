// text_results.h - the perplexities of a model on the job's texts, read from their files.
#pragma once
#include "kernels/error.h"
#include "stages/settings.h"
#include <jansson.h>

// Where texts have names: {NAME: {"perplexity", "tokens", "windows", "length", "ratio": times the dense
// model's}} of those that are measured, in the job's order; ratio only where it is known. NULL for a job with
// one text without a name, or none. missing: takes a line for every damaged file but the
// first text's, which is read elsewhere as well; NULL: they are left out.
// variant NULL: the dense model. New reference.
json_t *text_results_to_json(const struct settings *settings, const struct variant *variant, json_t *missing);

// What a text is called in tables. *text may be without a name.
const char *text_title(const struct text_settings *text);
