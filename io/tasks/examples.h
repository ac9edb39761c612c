// examples.h - the examples of a multiple-choice or continuation task, ready to be scored.
#pragma once
#include "io/tasks/format.h"
#include "kernels/error.h"
#include <stdint.h>

// A part of task_examples.text.
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
    size_t group; // of MMLU: the subject (io/tasks/mmlu.h); 0
    size_t gold;  // which option is right; 0 where there is nothing to choose from
};

struct task_examples {
    enum task_format format; // never TASK_RECOGNISED
    size_t num_examples, num_options;
    struct task_example *examples;
    struct task_option *options; // those of an example stand together
    char *text;                  // UTF-8
    uint64_t hash; // XXH3-64 of the file's bytes on disk, and of the list of labels if there is one
};

void task_examples_free(struct task_examples *examples); // NULL is fine
