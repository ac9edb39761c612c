#include "io/tasks/task.h"

#include "io/file/json.h"
#include "io/tasks/formats.h"
#include "io/tasks/lines.h"
#include "io/tasks/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum layout { LAYOUT_JSON, LAYOUT_TABLE, LAYOUT_TEXT };

static enum layout layout_of(const char *path)
{
    size_t size = strlen(path);
    if (task_ends_with(path, size, ".gz"))
        size -= 3;
    if (task_ends_with(path, size, ".tsv"))
        return LAYOUT_TABLE;
    return task_ends_with(path, size, ".txt") ? LAYOUT_TEXT : LAYOUT_JSON;
}

// Which formats a layout can have; a file of JSON without a format given is looked at later.
static enum status settle_format(struct task_builder *builder, enum task_format *format, enum layout layout,
                                 struct error *err)
{
    const enum task_format only = layout == LAYOUT_TABLE ? TASK_RTE : TASK_LAMBADA;
    size_t count;

    if (layout == LAYOUT_JSON)
        return STATUS_OK;
    RETURN_ERROR_IF(*format != TASK_RECOGNISED && *format != only, err, STATUS_INPUT,
                    "%s: a %s file can only be %s", builder->path, layout == LAYOUT_TABLE ? ".tsv" : ".txt",
                    task_format_names(&count)[only]);
    *format = only;
    return STATUS_OK;
}

static enum status recognise(const struct task_builder *builder, enum task_format *format,
                             const json_t *object, struct error *err)
{
    char list[256];
    size_t count, used = 0;
    const char *const *names = task_format_names(&count);

    if (*format == TASK_RECOGNISED)
        *format = task_recognise(object);
    if (*format != TASK_RECOGNISED)
        return STATUS_OK;
    for (size_t f = 0; f < count && used < sizeof list; f++)
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", f > 0 ? ", " : "", names[f]);
    return task_refuse(builder, err, "not an example of a known task; known formats are %s", list);
}

static enum status add_json(struct task_builder *builder, enum task_format *format, const char *line,
                            size_t size, struct error *err)
{
    json_error_t reason;
    char shown[JSON_ERROR_TEXT_LENGTH];
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &reason);
    enum status status = STATUS_OK;

    if (object == NULL)
        return task_refuse(builder, err, "not valid JSON: %s (column %d); each line must be one object",
                           printable(shown, sizeof shown, reason.text), reason.column);
    if (!json_is_object(object))
        status = task_refuse(builder, err, "not a JSON object");
    if (status == STATUS_OK)
        status = recognise(builder, format, object, err);
    if (status == STATUS_OK)
        status = task_reader(*format)->add(builder, object, err);
    json_decref(object);
    return status;
}

// A plain line must be UTF-8 without NUL; JSON's parser looks by itself.
static enum status check_line(const struct task_builder *builder, const char *line, size_t size,
                              struct error *err)
{
    for (size_t i = 0; i < size;) {
        utf8proc_int32_t code_point;
        const utf8proc_ssize_t length =
            utf8proc_iterate((const utf8proc_uint8_t *)line + i, (utf8proc_ssize_t)(size - i), &code_point);
        if (length <= 0 || code_point == 0)
            return task_refuse(builder, err, "not valid UTF-8 text at byte %zu of the line", i + 1);
        i += (size_t)length;
    }
    return STATUS_OK;
}

// line ends with a NUL in place of its newline.
static enum status add_line(struct task_builder *builder, enum task_format *format, enum layout layout,
                            char *line, size_t size, struct error *err)
{
    if (layout != LAYOUT_JSON)
        FORWARD_IF_ERROR(check_line(builder, line, size, err));
    if (layout == LAYOUT_TABLE && builder->line == 1)
        return task_begin_table(builder, line, err);
    if (blank_at_start(line, size) == size)
        return STATUS_OK;
    if (layout == LAYOUT_TABLE)
        return task_add_row(builder, line, err);
    return layout == LAYOUT_TEXT ? task_add_text(builder, line, err)
                                 : add_json(builder, format, line, size, err);
}

static enum status add_lines(struct task_builder *builder, enum task_format *format, enum layout layout,
                             size_t limit, char *text, size_t size, struct error *err)
{
    const struct task_examples *task = builder->task;

    for (char *end = text + size; text < end && (limit == 0 || task->num_examples < limit);) {
        char *newline = memchr(text, '\n', (size_t)(end - text));
        char *next = newline != NULL ? newline + 1 : end;
        size_t length = newline != NULL ? (size_t)(newline - text) : (size_t)(end - text);
        if (length > 0 && text[length - 1] == '\r')
            length--;
        text[length] = '\0';
        builder->line++;
        FORWARD_IF_ERROR(add_line(builder, format, layout, text, length, err));
        text = next;
    }
    RETURN_ERROR_IF(task->num_examples == 0, err, STATUS_INPUT, "%s: there are no examples in it",
                    builder->path);
    return STATUS_OK;
}

// A delimiter belongs to the prompt, but for the blanks at its end: they are scored with the continuation.
static enum status split_delimiter(struct task_builder *builder, struct error *err)
{
    const char *delimiter = builder->delimiter != NULL ? builder->delimiter : " ";
    const size_t size = strlen(delimiter), end = size - blank_at_end(delimiter, size);

    FORWARD_IF_ERROR(allocate(&builder->prompt_end, end + 1, 1, "a task", err));
    memcpy(builder->prompt_end, delimiter, end);
    builder->delimiter = delimiter + end;
    return STATUS_OK;
}

static enum status load(struct task_builder *builder, enum task_format format, size_t limit, char **text,
                        struct error *err)
{
    const enum layout layout = layout_of(builder->path);
    const bool delimited = builder->delimiter != NULL;
    size_t size;

    FORWARD_IF_ERROR(split_delimiter(builder, err));
    FORWARD_IF_ERROR(settle_format(builder, &format, layout, err));
    FORWARD_IF_ERROR(task_read_text(text, &size, &builder->task->hash, builder, err));
    FORWARD_IF_ERROR(add_lines(builder, &format, layout, limit, *text, size, err));
    builder->task->format = format;
    size_t count;
    RETURN_ERROR_IF(delimited && task_reader(format)->has_prompt, err, STATUS_INPUT,
                    "%s: %s has a prompt of its own, a delimiter is for files of ready prompts",
                    builder->path, task_format_names(&count)[format]);
    return STATUS_OK;
}

enum status task_load(struct task_examples **examples, const char *path, enum task_format format,
                      size_t limit, const char *delimiter, struct error *err)
{
    struct task_builder builder = {.path = path, .delimiter = delimiter};
    char *text = NULL;

    *examples = NULL;
    FORWARD_IF_ERROR(allocate(&builder.task, 1, sizeof *builder.task, "a task", err));
    const enum status status = load(&builder, format, limit, &text, err);
    free(text);
    free(builder.labels);
    free(builder.prompt_end);
    if (status == STATUS_OK)
        *examples = builder.task;
    else
        task_examples_free(builder.task);
    return status;
}
