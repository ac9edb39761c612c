// task_record.h - tasks and texts in run.json: job.evaluate.tasks and .perplexity, fingerprints.tasks, .texts
// and .evaluation. For run_record.c.
#pragma once
#include "kernels/error.h"
#include <jansson.h>

// The stamp of a file in a list of fingerprints; NULL when there is none.
const json_t *task_record_find(const json_t *list, const char *file);
// Says in the list's last stamp whose it is; key: "task" or "text". An empty list is fine.
void task_record_name(json_t *list, const char *key, const char *name);

// Compares the records of now and before: a task of the same name must be the same, else STATUS_USAGE. Tasks
// that only the earlier job asked for stay on record. path is run.json's, for messages.
enum status task_record_compare(json_t *now, const json_t *before, const char *path, struct error *err);
// The same of the texts for perplexity, and of evaluate.length.
enum status text_record_compare(json_t *now, const json_t *before, const char *path, struct error *err);

// What a result depends on, without paths, with the hashes of all files in "contents". name NULL: the text
// that has none. New reference; NULL: the record has no such text or task, or memory ran out.
json_t *text_record_identity(const json_t *record, const char *name);
json_t *task_record_identity(const json_t *record, const char *name);
