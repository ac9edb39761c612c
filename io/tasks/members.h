// members.h - the members of an example's JSON. One that is missing or of the wrong kind is refused by name.
#pragma once
#include "io/tasks/builder.h"
#include <jansson.h>

enum status task_get_text(const char **text, const struct task_builder *builder, const json_t *object,
                          const char *member, struct error *err);
// A list of texts, not empty.
enum status task_get_list(const json_t **list, const struct task_builder *builder, const json_t *object,
                          const char *member, struct error *err);
// Which of `count` choices is right, from 0, in a member that counts them from `first`; a number may be
// written as a text.
enum status task_get_answer(size_t *gold, const struct task_builder *builder, const json_t *object,
                            const char *member, long first, size_t count, struct error *err);
// The same from the list of labels. `member` is what the example could have instead, for messages.
enum status task_get_label(size_t *gold, struct task_builder *builder, long first, size_t count,
                           const char *member, struct error *err);
