// budget_json.h - how the search for the sparsest model within a budget went, for results, reports, the
// status and the exported model.
#pragma once
#include "stages/settings.h"
#include <jansson.h>

// New reference: what RUN/budget/VARIANT/result.json says (io/store/FORMAT.md); while the search goes on,
// those of its members that are known: "bound", "dense_perplexity" and "attempts". NULL where the variant
// (NULL: the dense model) is not searched, or memory ran out.
json_t *budget_to_json(const struct settings *settings, const struct variant *variant);

// The sparsity that the variant is asked for, a pattern's as well; 0 while it is still searched.
double variant_target(const struct settings *settings, const struct variant *variant);

// A line of the search: "sparsity 0.461, 1.0473 x dense on held-out text (bound 1.05), 3 attempts". "" where
// there is none. Returns text.
const char *budget_text(char *text, size_t size, const struct settings *settings,
                        const struct variant *variant);
