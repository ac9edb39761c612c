// value.h - the values of keys, on their way from a file (YAML or JSON) to the members of the settings.
#pragma once
#include "kernels/error.h"
#include "pipeline/job/keys.h"
#include <stdint.h>

// One value, by the key's type.
union job_item {
    char *text;     // TYPE_TEXT
    uint64_t whole; // TYPE_WHOLE; TYPE_CHOICE: index into the key's choices
    double number;  // TYPE_NUMBER, TYPE_BUDGET
    bool flag;      // TYPE_FLAG
    double pair[2]; // TYPE_PAIR
    struct {
        size_t keep, of;
    } pattern;                          // TYPE_PATTERN; 0:0 is none
    bool directions[2];                 // TYPE_DIRECTIONS: columns, rows
    struct skip skip;                   // TYPE_SKIP
    struct ratio ratio;                 // TYPE_RATIOS
    struct text_settings text_settings; // TYPE_TEXTS
    struct task_settings task;          // TYPE_TASKS
    struct expected expected;           // TYPE_EXPECTED
};

// The value of a key in the job: one item, or all items of a list, a mapping or a sweep. Owns the items and
// their texts.
struct job_value {
    bool given;  // the job has the key
    size_t line; // of the job file; 0: it was set on the command line
    size_t count;
    union job_item *items;
};

struct job_values {
    const char *path; // the job file's, for messages
    struct job_value of[NUM_JOB_KEYS];
};

bool is_given(const struct job_values *values, enum job_key key);
// STATUS_USAGE "FILE:LINE: KEY: ...", or "--set KEY: ..." where the command line says it.
enum status job_value_refuse(const struct job_values *values, enum job_key key, struct error *err,
                             const char *format, ...) __attribute__((format(printf, 4, 5)));
// Leaves the value empty. An item that was moved elsewhere must have been zeroed.
void job_value_free(const struct job_key_row *row, struct job_value *value);
void job_values_free(struct job_values *values);

// ---- members of the settings: `home` is the struct settings or the struct variant that the row names ---

// Types whose member is an array, with its size in a member of its own. The other ones are single values.
bool type_is_array(enum job_type type);
// Of these: whether the file has a mapping, not a list.
bool type_is_mapping(enum job_type type);

// A single value; a text stays the member's.
union job_item member_load(const struct job_key_row *row, const void *home);
void member_store(const struct job_key_row *row, void *home, const union job_item *item);
void member_reset(const struct job_key_row *row, void *home); // to its default; frees nothing
// The default, which may depend on the variant's other members. A text's is NULL. Public for tests.
union job_item member_standard(const struct job_key_row *row, const void *home);
// Whether the member has its default; of an array, whether it is empty.
bool member_is_standard(const struct job_key_row *row, const void *home);
// Moves all items of the value to the array. STATUS_MEMORY: none was moved.
enum status member_store_array(const struct job_key_row *row, void *home, struct job_value *value,
                               struct error *err);
size_t member_count(const struct job_key_row *row, const void *home);
// A copy of one element, whose texts stay the array's.
union job_item member_element(const struct job_key_row *row, const void *home, size_t index);
// Frees what a text or an array owns.
void member_free(const struct job_key_row *row, void *home);
