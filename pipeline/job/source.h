// source.h - where a job comes from: its file, what the command line sets over it, and the variables that its
// paths may name.
#pragma once
#include "io/file/expand_path.h"

// Settings of the command line, each "KEY=VALUE". Not owned.
struct job_sets {
    const char *const *texts;
    size_t count;
};

struct job_source {
    const char *path; // of the file: for messages, and relative paths of the job count from its folder
    struct path_variables variables;
    struct job_sets sets;
};
