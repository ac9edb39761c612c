// source.h - what a task is read from.
#pragma once
#include "io/tasks/format.h"
#include <stddef.h>

struct task_source {
    const char *path; // a file; of MMLU also a folder
    enum task_format format;
    size_t limit;           // the first examples, of MMLU of each subject; 0: all
    const char *delimiter;  // NULL: a space
    size_t shots;           // examples before each question
    const char *shots_from; // where they are drawn from; NULL: as task_shots_path says (shots.h)
};

bool task_is_folder(const char *path);
