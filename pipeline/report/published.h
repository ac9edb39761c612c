// published.h - perplexities that were published, `expected` in the job, beside the measured ones. For
// compare.c, compare_show.c, data.c and html.c.
#pragma once
#include "stages/settings.h"
#include <jansson.h>
#include <stdio.h>

// {"perplexity", "length", "source", "measured", "measured_length", "difference": measured - published}.
// perplexity: what was measured over windows of `length` tokens; not finite: nothing, and the last three are
// null. A difference between perplexities at different lengths says nothing: it is null too. New reference;
// NULL: nothing is expected of the variant (NULL: the dense model).
json_t *published_to_json(const struct settings *settings, const struct variant *variant, double perplexity,
                          uint64_t length);

// Whether one of a list of these, with nulls among them, was measured at another length.
bool published_at_other_length(const json_t *list);

// Tables of rows [{"variant", "published": the above}], as text and as HTML; nothing without rows. run: goes
// into the head, such as "[1]"; NULL: none.
void published_print(const json_t *rows, const char *run, FILE *out);
void published_write_html(const json_t *rows, const char *run, FILE *out);
