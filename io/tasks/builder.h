// builder.h - a task's examples while its file is read.
#pragma once
#include "io/file/run_paths.h"
#include "io/tasks/examples.h"

struct task_builder {
    const char *path;
    char *prompt_end;      // of ready prompts: the delimiter up to its blanks at the end; "" for others
    const char *delimiter; // those blanks, the beginning of every continuation
    struct task_examples *task;
    size_t text_size, text_capacity, examples_capacity, options_capacity;
    size_t line;      // of the file, from 1
    size_t limit;     // examples that are wanted, of MMLU of each subject; 0: all
    size_t *of_group; // [MMLU_SUBJECTS] of MMLU: examples that were seen of each subject
    bool looked_for_labels;
    size_t num_labels; // of the list of labels
    long *labels;      // [num_labels], or NULL: there is none
    char labels_path[PATH_SIZE];
    const char *labels_name; // without its folder, for messages
    size_t columns[3];       // of a table: where sentence1, sentence2 and label are
};

// STATUS_INPUT "PATH:LINE: ...".
enum status task_refuse(const struct task_builder *builder, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Reads all of a file, decompressed; NUL-terminated. *hash: XXH3-64 of its bytes on disk. The caller frees
// *text, also after a failure. `builder` names the file for messages about memory.
enum status task_read_text(char **text, size_t *size, uint64_t *hash, const struct task_builder *builder,
                           struct error *err);
// The text must be UTF-8 without NUL; JSON's parser looks by itself. builder->line is counted on to where it
// is not.
enum status task_check_text(struct task_builder *builder, const char *text, size_t size, struct error *err);

// Joins the pieces, which end with NULL, into one span of the text.
enum status task_join(struct task_span *span, struct task_builder *builder, const char *const *pieces,
                      struct error *err);

// An example whose options are added next.
enum status task_add_example(struct task_builder *builder, size_t gold, struct error *err);
// One more option of the last example: context, then between, then text. between counts as the
// continuation's.
enum status task_add_option(struct task_builder *builder, struct task_span context, const char *between,
                            const char *text, struct error *err);

// An example with the same context, joined from pieces that end with NULL, for all choices.
enum status task_add_choices(struct task_builder *builder, const char *const *context,
                             const char *const *choices, size_t count, size_t gold, struct error *err);
