// task_builder.h - a task while its file is read. For task.c and task_formats.c.
#pragma once
#include "io/file/run_paths.h"
#include "io/tasks/task.h"
#include <jansson.h>

struct task_builder {
    const char *path;
    char *prompt_end;      // of ready prompts: the delimiter up to its blanks at the end; "" for others
    const char *delimiter; // those blanks, the beginning of every continuation
    struct task *task;
    size_t text_size, text_capacity, examples_capacity, options_capacity;
    size_t line; // of the file, from 1
    bool looked_for_labels;
    size_t num_labels; // of the list beside the file
    long *labels;      // [num_labels], or NULL: there is none
    char labels_path[PATH_SIZE];
    const char *labels_name; // the list's, without its folder, for messages
    size_t columns[3];       // of a table: where sentence1, sentence2 and label are
};

// STATUS_INPUT "PATH:LINE: ...".
enum status task_refuse(const struct task_builder *builder, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Room for `more` elements of `size` bytes behind the `used` ones of *array, which has *capacity; grows by
// half, so that adding is linear.
enum status task_reserve(void *array, size_t *capacity, size_t used, size_t more, size_t size,
                         const struct task_builder *builder, struct error *err);

// The pieces, NULL at the end, one after the other.
enum status task_join(struct task_span *span, struct task_builder *builder, const char *const *pieces,
                      struct error *err);

// Fills the builder's members about labels, at the first call.
enum status task_find_labels(struct task_builder *builder, struct error *err);

// An example whose options are added next.
enum status task_add_example(struct task_builder *builder, size_t gold, struct error *err);
// One more option of the last example: context, then between, then text. between counts as the
// continuation's.
enum status task_add_option(struct task_builder *builder, struct task_span context, const char *between,
                            const char *text, struct error *err);

// The members of an example (task_members.c); what is missing or of the wrong kind is refused by name.
enum status task_get_text(const char **text, const struct task_builder *builder, const json_t *object,
                          const char *member, struct error *err);
// A list of texts, not empty.
enum status task_get_list(const json_t **list, const struct task_builder *builder, const json_t *object,
                          const char *member, struct error *err);
// Which of `count` choices is right, from 0, in a member that counts them from `first`; a number may be
// written as a text.
enum status task_get_answer(size_t *gold, const struct task_builder *builder, const json_t *object,
                            const char *member, long first, size_t count, struct error *err);
// The same from the list of labels that is published beside the examples; member is what could be there
// instead.
enum status task_get_label(size_t *gold, struct task_builder *builder, long first, size_t count,
                           const char *member, struct error *err);

// An example with the same context, joined from pieces that end with NULL, for all choices.
enum status task_add_choices(struct task_builder *builder, const char *const *context,
                             const char *const *choices, size_t count, size_t gold, struct error *err);
// RTE's.
enum status task_add_entailment(struct task_builder *builder, const char *premise, const char *hypothesis,
                                const char *label, struct error *err);

// One row of the table of formats.
struct task_reader {
    const char *members[4]; // by which an example is recognised
    enum status (*add)(struct task_builder *builder, const json_t *object, struct error *err);
    bool has_prompt; // of its own: there is no delimiter to choose
};
const struct task_reader *task_reader(enum task_format format);
// TASK_RECOGNISED when the object is of none.
enum task_format task_recognise(const json_t *object);

// A line of GLUE's tables, and the first one, which names the columns.
enum status task_begin_table(struct task_builder *builder, char *line, struct error *err);
enum status task_add_row(struct task_builder *builder, char *line, struct error *err);
// A line of plain text.
enum status task_add_text(struct task_builder *builder, const char *text, struct error *err);
