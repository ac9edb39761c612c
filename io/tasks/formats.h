// formats.h - how an example of each format of JSON is recognised and read.
#pragma once
#include "io/tasks/builder.h"
#include <jansson.h>

struct task_reader {
    const char *members[4]; // by which an example is recognised
    enum status (*add)(struct task_builder *builder, const json_t *object, struct error *err);
    bool has_prompt; // of its own: there is no delimiter to choose
    // Of shots, in the reference's definition of the task:
    bool draws_one_more;             // than are asked for: it has no split for tests, as none for shots
    bool is_numbered;                // its examples have numbers, so that two texts are never the same one
    const char *before_shots_answer; // beside the delimiter
};
const struct task_reader *task_reader(enum task_format format);
// TASK_RECOGNISED when the object has no known format.
enum task_format task_recognise(const json_t *object);
