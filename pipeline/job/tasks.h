// job_tasks.h - one item of `evaluate.tasks`: a file, or a section {data, name, format, limit, delimiter}.
// For job_read.c.
#pragma once
#include "pipeline/job/yaml.h"
#include "stages/settings.h"

// data is required. name defaults to the file's name without its endings; it is also that of a file of
// results, so that it may have letters, digits, "-", "_" and "." only. *task is freed with job_task_free.
enum status job_task_read(struct task_settings **task, const struct job_document *document,
                          const struct job_node *node, struct error *err);
void job_task_free(struct task_settings *task); // NULL is fine
// What *task holds, not *task itself.
void task_settings_free(struct task_settings *task);
