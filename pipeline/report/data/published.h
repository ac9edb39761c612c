// published.h - perplexities that were published, `expected` in the job, beside the measured ones.
#pragma once
#include "stages/settings.h"
#include <jansson.h>
#include <stdbool.h>

// {"perplexity", "length", "source", "measured", "measured_length", "difference": measured - published}.
// perplexity: what was measured over windows of `length` tokens; not finite: nothing, and the last three are
// null. A difference between perplexities at different lengths says nothing: it is null too. New reference;
// NULL: nothing is expected of the variant (NULL: the dense model).
json_t *published_to_json(const struct settings *settings, const struct variant *variant, double perplexity,
                          uint64_t length);

// Whether one of a list of these, with nulls among them, was measured at another length.
bool published_at_other_length(const json_t *list);
