// job_read.h - reading a job file's text through the table of keys. For job.c.
#pragma once
#include "kernels/error.h"
#include "pipeline/job/keys.h"
#include "stages/settings.h"
#include <stdint.h>

enum { DIRECTION_COLUMNS = 1, DIRECTION_ROWS = 2 };

union job_item {
    char *text;
    double number;
    uint64_t whole;
    bool flag;
    unsigned choice; // index into the key's choices
    struct {
        size_t keep, of;
    } pattern;
    unsigned directions; // DIRECTION_*, or-ed
    struct {
        char *pattern;
        double number;
        size_t line;
    } ratio;
    struct task_settings *task;
};

// What a key was given: one item for a scalar, any number for a list or a mapping. line 0: the key is not in
// the file.
struct job_value {
    size_t line, count;
    union job_item *items;
};

struct job_values {
    struct job_value of[NUM_JOB_KEYS];
};

// Reads YAML text through the table; every type, range and required key is checked. name is the file's, for
// messages. Freed with job_values_free, also after an error. values must be zeroed.
enum status job_values_read(struct job_values *values, const char *text, size_t size, const char *name,
                            struct error *err);
void job_values_free(struct job_values *values);
