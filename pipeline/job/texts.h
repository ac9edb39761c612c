// texts.h - one text of `evaluate.perplexity`: in YAML a file, or a section {data, name, field}; in JSON a
// string, {"data", "field"} or {"name", "data", "field"}, the field where it is not "text". A single text
// without a name is written without a list.
#pragma once
#include "pipeline/job/yaml.h"
#include "stages/settings.h"
#include <jansson.h>

// data, name, field: the keys of a section.
const char *const *text_member_names(size_t *count);

// The name of a file alone is that of the file without its endings, where that is a name (task_name_is_good);
// otherwise it has none yet. Freed with text_settings_free, also after an error.
enum status text_read(struct text_settings *text, const struct job_document *document,
                      const struct job_node *node, struct error *err);
// Of a list with several: `later` and each text before it. Results are stored under the names, so that both
// must have one, and another. A file alone has the place of the only text only where it comes first.
enum status text_settle_pair(const struct text_settings *earlier, struct text_settings *later,
                             const struct job_document *document, size_t line, struct error *err);

// New reference; NULL when memory ran out or a text is not UTF-8. All of them: null, the only one, or a list.
json_t *texts_to_json(const struct text_settings *texts, size_t count);
// One of them. STATUS_DAMAGED, without a message, when the JSON is not what texts_to_json writes. *text must
// be zeroed; freed with text_settings_free, also after an error.
enum status text_settings_from_json(struct text_settings *text, const json_t *json, struct error *err);
// How many there are in what texts_to_json writes, and the one at `index`. Borrowed.
size_t texts_json_count(const json_t *json);
const json_t *texts_json_at(const json_t *json, size_t index);

// Frees what *text holds, not *text itself.
void text_settings_free(struct text_settings *text);
