// tasks.h - one item of `evaluate.tasks`: in YAML a file, or a section {data, name, format, limit,
// delimiter, shots, shots_from}; in JSON {"name", "data", "format", "limit", "delimiter"}, null for what is
// not given, and "shots", "shots_from" only where they are.
#pragma once
#include "pipeline/job/yaml.h"
#include "stages/settings.h"
#include <jansson.h>

// data, name, ...: the keys of a section.
const char *const *task_member_names(size_t *count);

// data is required. name defaults to the file's name without its endings; results are kept under it, so that
// it has letters, digits, "-", "_" and "." only. Freed with task_settings_free, also after an error.
enum status task_read(struct task_settings *task, const struct job_document *document,
                      const struct job_node *node, struct error *err);
// New reference; NULL when memory ran out or a text is not UTF-8.
json_t *task_to_json(const struct task_settings *task);
// STATUS_DAMAGED, without a message, when the JSON is not what task_to_json writes. *task must be zeroed;
// freed with task_settings_free, also after an error.
enum status task_from_json(struct task_settings *task, const json_t *json, struct error *err);
// Frees what *task holds, not *task itself.
void task_settings_free(struct task_settings *task);

// What a name must be, and whether text[size] is one.
extern const char task_name_requirement[];
bool task_name_is_good(const char *text, size_t size);
// The file's name without folder and endings, which the caller frees; NULL where that is no good name.
enum status task_name_of_file(char **name, const char *path, struct error *err);

// A copy of a JSON string. STATUS_DAMAGED, without a message, when it is none; *text is NULL then.
enum status text_from_json(char **text, const json_t *json, struct error *err);
