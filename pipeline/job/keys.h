// keys.h - the keys of the job file as a table, one row each in key_table.h: path, type and range, default,
// the member that keeps the value, and when it is written to JSON.
//
// Reading (read.c), the sweep (sweep.c), names of variants (variant.c), JSON and the comparison with the job
// of an earlier start (json.c, from_json.c), "did you mean" and jobs/example.yaml all work from these rows.
// The header knows the settings and nothing of YAML, JSON or files.
#pragma once
#include "stages/settings.h"
#include <stdbool.h>
#include <stddef.h>

// KEY_MODEL, KEY_RUN, ...: in the order of the table.
enum job_key {
#define KEY(name, ...) KEY_##name,
#include "pipeline/job/key_table.h"
#undef KEY
    NUM_JOB_KEYS
};

// Types of values, and the C type of the member that keeps one.
enum job_type {
    TYPE_TEXT,       // char *, NULL when it is not given
    TYPE_WHOLE,      // size_t or uint64_t
    TYPE_NUMBER,     // double
    TYPE_FLAG,       // bool
    TYPE_CHOICE,     // an enum, in the order of the words
    TYPE_BUDGET,     // double; {perplexity: 1.05} in the file
    TYPE_PAIR,       // two doubles, one after the other; [low, high] in the file
    TYPE_PATTERN,    // size_t keep, of: N:M
    TYPE_DIRECTIONS, // two bools, columns and rows: a list of these words
    TYPE_SKIP,       // struct skip *: a list of patterns
    TYPE_RATIOS,     // struct ratio *: a mapping of patterns to numbers
    TYPE_TEXTS,      // struct text_settings *: a file, a section or a list of these, see texts.h
    TYPE_TASKS,      // struct task_settings *: a list of files and sections, see tasks.h
    TYPE_EXPECTED    // struct expected *: a mapping of variants to sections, see expected.h
};

enum job_home { HOME_SETTINGS, HOME_VARIANT };

enum job_key_flags {
    KEY_REQUIRED = 1,
    KEY_ABOVE_LOW = 2,   // low itself is out of range
    KEY_ON_RECORD = 4,   // is in every JSON, also where it has its default; a key added later must not be
    KEY_CAME_LATER = 32, // is missing from the oldest records, which means the default
    KEY_MAY_CHANGE = 8,  // another value does not contradict what a run directory holds
    KEY_IN_NAME = 16,    // is in every variant's name, also where it has its default
    KEY_PATH = 64        // TYPE_TEXT: a path (job_path.h)
};

struct job_key_row {
    const char *path; // "prune.alpha"
    const char *help; // a line without a full stop; without what `low`, `high`, `choices` or `what` say
    enum job_type type;
    unsigned flags; // enum job_key_flags

    enum job_home home; // struct settings, or struct variant: then a list of values makes a sweep
    size_t offset, size;
    size_t count_offset; // of an array: where the array's size_t is

    double low, high;                        // TYPE_WHOLE, TYPE_NUMBER, TYPE_BUDGET, TYPE_PAIR, TYPE_RATIOS
    const char *const *(*choices)(size_t *); // TYPE_CHOICE
    const char *(*meaning)(size_t choice);   // of each, for the help; NULL: the words speak for themselves
    const char *what;                        // TYPE_TEXT, TYPE_SKIP: "a directory"

    double standard[2];                             // the default; texts and lists have none
    double (*own_standard)(const struct variant *); // the default, where it is the method's own
    const char *otherwise; // the default in words, where it depends on something else
    const char *example;   // for jobs/example.yaml; NULL: the default

    const char *json; // the path in the JSON of the job, or of the variant; NULL: path, or its last word
    bool (*applies)(const struct variant *); // whether it means something to the variant; NULL: always. Where
                                             // it does not, it is in neither JSON nor name
    const char *tag;                         // begins the value in the variant's name: "owl_range 0.1" is
                                             // "-range0.1". Directions and some choices speak for themselves
};

const struct job_key_row *job_key_row(enum job_key key);

// The key called `name` in a section ("" is the top); NUM_JOB_KEYS when there is none.
enum job_key job_key_find(const char *section, const char *name);
// The key of a whole path, "prune.sparsity"; or of its last word, "sparsity", the first one in the table.
enum job_key job_key_named(const char *path);
enum job_key job_key_of_word(const char *word);
bool job_is_section(const char *name);
// The key or section that `name` was perhaps meant to be: nearest in its own section, then anywhere. NULL:
// none.
const char *job_key_suggest(const char *section, const char *name);

// "a number from 0 to 1": one item of the key. Returns text.
const char *job_key_describe(const struct job_key_row *row, char *text, size_t size);
bool job_key_in_range(const struct job_key_row *row, double value);
// Whether a list of values makes a sweep.
bool job_key_is_swept(const struct job_key_row *row);

// "columns" and "rows", as TYPE_DIRECTIONS keeps them.
const char *const *direction_names(size_t *count);
