// job_keys.h - the job file's keys as a table: where a key stands, what it takes, in which range. For
// job_read.c and job.c.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// One a row of the table in job_keys.c, in its order.
enum job_key {
    KEY_MODEL,
    KEY_RUN,
    KEY_OUTPUT,
    KEY_CORPUS,
    KEY_SEQUENCES,
    KEY_LENGTH,
    KEY_SEED,
    KEY_KEEP_ACTIVATIONS,
    KEY_METHOD,
    KEY_ALPHA,
    KEY_EPSILON,
    KEY_EXPONENT,
    KEY_SPARSITY,
    KEY_PATTERN,
    KEY_GROUP,
    KEY_ALLOCATION,
    KEY_OWL_THRESHOLD,
    KEY_OWL_RANGE,
    KEY_RATIOS,
    KEY_PROPAGATION,
    KEY_SKIP,
    KEY_ENERGY,
    KEY_CLAMP,
    KEY_OUTPUT_MATCHING,
    KEY_BIAS,
    KEY_GUARD,
    KEY_KEEP_WEIGHTS,
    KEY_PERPLEXITY,
    KEY_EVALUATE_LENGTH,
    KEY_TASKS,
    NUM_JOB_KEYS
};

enum job_type {
    TYPE_TEXT,
    TYPE_WHOLE,
    TYPE_NUMBER,
    TYPE_FLAG,
    TYPE_CHOICE,
    TYPE_PATTERN,    // N:M
    TYPE_DIRECTIONS, // a list of columns, rows
    TYPE_RATIOS,     // a mapping of patterns to numbers
    TYPE_TASK        // a file or a section, see job_tasks.h
};

enum job_shape {
    SHAPE_ONE,   // a scalar
    SHAPE_SWEEP, // a scalar, or a list that is not empty
    SHAPE_LIST,  // a list, which may be empty
    SHAPE_PAIR   // a list of two
};

enum job_key_flags {
    KEY_REQUIRED = 1,
    KEY_ABOVE_LOW = 2, // low itself is out of range
    KEY_FOR_LATER = 4  // takes only what switches it off (false, an empty list)
};

struct job_key_row {
    const char *path; // "prune.alpha"
    enum job_type type;
    enum job_shape shape;
    unsigned flags;                          // enum job_key_flags
    double low, high;                        // TYPE_WHOLE, TYPE_NUMBER
    const char *const *(*choices)(size_t *); // TYPE_CHOICE
    const char *const *later; // TYPE_CHOICE: words of versions to come, NULL at the end; or NULL
    const char *what;         // TYPE_TEXT: "a directory"
};

const struct job_key_row *job_key_row(enum job_key key);

// Words of choices, in the order of the enums in settings.h.
const char *const *group_names(size_t *count);
const char *const *allocation_names(size_t *count);
const char *const *propagation_names(size_t *count);

// The key called `name` in a section ("" is the top); NUM_JOB_KEYS when there is none.
enum job_key job_key_find(const char *section, const char *name);
bool job_is_section(const char *name);
// The key or section that `name` was perhaps meant to be: nearest in its own section, then anywhere. NULL:
// none.
const char *job_key_suggest(const char *section, const char *name);

// "must be a number from 0 to 1": what one item of the key must be. Returns text.
const char *job_key_requirement(const struct job_key_row *row, char *text, size_t size);
