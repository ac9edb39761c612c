// formats.h - how an example of each format of JSON is recognised and read.
#pragma once
#include "io/tasks/builder.h"
#include <jansson.h>

struct task_reader {
    const char *members[4]; // by which an example is recognised
    enum status (*add)(struct task_builder *builder, const json_t *object, struct error *err);
    bool has_prompt; // of its own: there is no delimiter to choose
};
const struct task_reader *task_reader(enum task_format format);
// TASK_RECOGNISED when the object has no known format.
enum task_format task_recognise(const json_t *object);
