// task.h - reads a task's file, in any of the formats of format.h.
#pragma once
#include "io/tasks/examples.h"
#include "io/tasks/source.h"

// task_load with shots (io/tasks/shots.h).
enum status task_load_source(struct task_examples **examples, const struct task_source *source,
                             struct error *err);
// Reads the first `limit` examples (0: all) of a file. delimiter NULL: a space. Content that does not have
// its format is STATUS_INPUT with file and line: not JSON, a member that is missing or of the wrong type, a
// right answer that is none of the choices, no or empty choices, a file without examples or of no known
// format, a delimiter for a format that has a prompt of its own. *examples is freed with task_examples_free.
enum status task_load(struct task_examples **examples, const char *path, enum task_format format,
                      size_t limit, const char *delimiter, struct error *err);
