// expected.h - one pair of `expected`: in YAML a variant's name and a section {perplexity, length, source};
// in JSON {"variant", "perplexity", "length", "source"}. All are required: a perplexity means nothing without
// the length of its windows, and is worth nothing without its source.
#pragma once
#include "pipeline/job/yaml.h"
#include "stages/settings.h"
#include <jansson.h>

// perplexity, length, source: the keys of a section.
const char *const *expected_member_names(size_t *count);

// Pair `index` of the mapping. A name that an earlier pair has is refused. Freed with expected_free, also
// after an error.
enum status expected_read(struct expected *expected, const struct job_document *document,
                          const struct job_node *mapping, size_t index, struct error *err);
// Once the variants are known: every name is one of theirs, or "dense". STATUS_USAGE with file and line.
enum status expected_check(const struct settings *settings, const char *path, struct error *err);
// That of the variant (NULL: the dense model), or NULL. Borrowed.
const struct expected *expected_find(const struct settings *settings, const struct variant *variant);

// New reference; NULL when memory ran out or a text is not UTF-8.
json_t *expected_to_json(const struct expected *expected);
// STATUS_DAMAGED, without a message, when the JSON is not what expected_to_json writes. *expected must be
// zeroed; freed with expected_free, also after an error.
enum status expected_from_json(struct expected *expected, const json_t *json, struct error *err);
// Frees what *expected holds, not *expected itself.
void expected_free(struct expected *expected);
