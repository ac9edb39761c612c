// task.h - multiple-choice and continuation tasks as they are read from their files (task_format.h).
#pragma once
#include "io/tasks/format.h"
#include "kernels/error.h"
#include <stdint.h>

// A part of task->text.
struct task_span {
    size_t offset, size;
};

struct task_option {
    struct task_span context, continuation;
    size_t bytes, characters; // of the option's own text, without the delimiter
};

struct task_example {
    size_t line; // of the file, from 1
    size_t first_option, num_options;
    size_t gold; // which option is right; 0 where there is nothing to choose from
};

struct task {
    enum task_format format; // never TASK_RECOGNISED
    size_t num_examples, num_options;
    struct task_example *examples;
    struct task_option *options; // those of an example stand together
    char *text;                  // UTF-8
    uint64_t hash;               // XXH3-64 of the file's bytes on disk, and of the labels' beside it
};

// Reads the first `limit` examples (0: all) of a file. delimiter NULL: a space. What is not as its format
// says is STATUS_INPUT, with file and line: no JSON, a member that is missing or of the wrong type, a right
// answer that is none of the choices, no or empty choices, a file without examples, a file that is not
// recognised, a delimiter for a format that has a prompt of its own. *task is freed with task_free.
enum status task_load(struct task **task, const char *path, enum task_format format, size_t limit,
                      const char *delimiter, struct error *err);
void task_free(struct task *task); // NULL is fine

// The list of labels that some formats have beside their file: "dev-labels.lst" for "dev.jsonl". False when
// there is none, or its name does not fit.
bool task_labels_path(char *labels, size_t size, const char *path);
