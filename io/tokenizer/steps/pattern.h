// pattern.h - a string or a regular expression that a normalizer replaces or a pre-tokenizer splits at.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>

struct pattern; // opaque

// value is {"String": …} or {"Regex": …}, as tokenizer.json writes it. Freed with pattern_free.
enum status pattern_from_json(struct pattern **pattern, const json_t *value, struct error *err);

// A regular expression as Oniguruma reads it (expression.h). STATUS_INPUT says what is wrong with it.
enum status pattern_from_regex(struct pattern **pattern, struct slice expression, struct error *err);

void pattern_free(struct pattern *pattern); // NULL is fine

// Where a search is. One pattern serves one search at a time.
struct pattern_search {
    struct slice text;
    size_t position;
    size_t last_end;
    bool matched;
};

// Begins to search text, which stays the caller's and must stay there.
enum status pattern_begin(struct pattern *pattern, struct slice text, struct pattern_search *search,
                          struct error *err);

// The next match, which does not overlap the ones before; *found is false when there is none. An empty match
// is not taken right after another match.
enum status pattern_next(struct pattern *pattern, struct pattern_search *search, bool *found, size_t *start,
                         size_t *end, struct error *err);
