#include "io/tasks/task.h"

#include "io/file/json.h"
#include "io/file/text/json_elements.h"
#include "io/tasks/formats.h"
#include "io/tasks/lines.h"
#include "io/tasks/mmlu.h"
#include "io/tasks/shots.h"
#include "io/tasks/text.h"
#include "io/text/file_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

enum layout { LAYOUT_JSON, LAYOUT_TABLE, LAYOUT_TEXT };

// Objects of JSON are read as such, whatever the name.
static enum layout layout_of(const char *path, const char *text, size_t size)
{
    if (json_begins_array(text, size) || json_begins_object(text, size))
        return LAYOUT_JSON;
    if (unpacked_name_ends_in(path, ".tsv"))
        return LAYOUT_TABLE;
    return unpacked_name_ends_in(path, ".txt") ? LAYOUT_TEXT : LAYOUT_JSON;
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
    char shown[JSON_REASON_SIZE];
    json_t *object = json_loadb(line, size, JSON_REJECT_DUPLICATES, &reason);
    enum status status = STATUS_OK;

    if (object == NULL)
        return task_refuse(builder, err, "%s (column %d); each line must be one object",
                           json_reason(shown, &reason), reason.column);
    if (!json_is_object(object))
        status = task_refuse(builder, err, "not a JSON object");
    if (status == STATUS_OK)
        status = recognise(builder, format, object, err);
    if (status == STATUS_OK)
        status = task_reader(*format)->add(builder, object, err);
    json_decref(object);
    return status;
}

// line ends with a NUL in place of its newline.
static enum status add_line(struct task_builder *builder, enum task_format *format, enum layout layout,
                            char *line, size_t size, struct error *err)
{
    if (layout != LAYOUT_JSON)
        FORWARD_IF_ERROR(task_check_text(builder, line, size, err));
    if (layout == LAYOUT_TABLE && builder->line == 1)
        return task_begin_table(builder, line, err);
    if (blank_at_start(line, size) == size)
        return STATUS_OK;
    if (layout == LAYOUT_TABLE)
        return task_add_row(builder, line, err);
    return layout == LAYOUT_TEXT ? task_add_text(builder, line, err)
                                 : add_json(builder, format, line, size, err);
}

// Of MMLU every subject has the limit: mmlu_add_json keeps it.
static bool is_enough(const struct task_builder *builder, enum task_format format)
{
    return builder->limit > 0 && format != TASK_MMLU && builder->task->num_examples >= builder->limit;
}

static enum status add_lines(struct task_builder *builder, enum task_format *format, enum layout layout,
                             char *text, size_t size, struct error *err)
{
    for (char *end = text + size; text < end && !is_enough(builder, *format);) {
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
    return STATUS_OK;
}

// An array of examples while it is read.
struct array {
    struct task_builder *builder;
    enum task_format *format;
};

static enum status take_example(void *context, const char *element, size_t size, size_t line,
                                struct error *err)
{
    const struct array *array = context;
    array->builder->line = line;
    if (is_enough(array->builder, *array->format))
        return STATUS_OK;
    return add_json(array->builder, array->format, element, size, err);
}

static enum status add_array(struct task_builder *builder, enum task_format *format, const char *text,
                             size_t size, struct error *err)
{
    struct array array = {builder, format};
    struct json_elements elements = {.path = builder->path, .take = take_example, .context = &array};

    enum status status = json_elements_feed(&elements, text, size, err);
    if (status == STATUS_OK)
        status = json_elements_end(&elements, err);
    json_elements_free(&elements);
    return status;
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

static enum status load_folder(struct task_builder *builder, const struct task_source *source,
                               const char *split, struct error *err)
{
    size_t count;
    RETURN_ERROR_IF(source->format != TASK_RECOGNISED && source->format != TASK_MMLU, err, STATUS_INPUT,
                    "%s: a folder can only be mmlu, not %s", source->path,
                    task_format_names(&count)[source->format]);
    builder->task->format = TASK_MMLU;
    return mmlu_add_folder(builder, source->path, split, err);
}

// split: of a folder.
static enum status load(struct task_builder *builder, const struct task_source *source, const char *split,
                        char **text, struct error *err)
{
    enum task_format format = source->format;
    size_t size;

    FORWARD_IF_ERROR(split_delimiter(builder, err));
    FORWARD_IF_ERROR(
        allocate(&builder->of_group, MMLU_SUBJECTS, sizeof *builder->of_group, "a task's subjects", err));
    if (task_is_folder(source->path)) {
        FORWARD_IF_ERROR(load_folder(builder, source, split, err));
    } else {
        FORWARD_IF_ERROR(task_read_text(text, &size, &builder->task->hash, builder, err));
        const enum layout layout = layout_of(builder->path, *text, size);
        FORWARD_IF_ERROR(settle_format(builder, &format, layout, err));
        FORWARD_IF_ERROR(json_begins_array(*text, size)
                             ? add_array(builder, &format, *text, size, err)
                             : add_lines(builder, &format, layout, *text, size, err));
        RETURN_ERROR_IF(builder->task->num_examples == 0, err, STATUS_INPUT,
                        "%s: there are no examples in it", builder->path);
        builder->task->format = format;
    }
    RETURN_ERROR_IF(source->delimiter != NULL && task_reader(builder->task->format)->has_prompt, err,
                    STATUS_INPUT, "%s: %s has a prompt of its own, a delimiter is for files of ready prompts",
                    builder->path, task_format_names(&size)[builder->task->format]);
    return STATUS_OK;
}

static void builder_clear(struct task_builder *builder)
{
    free(builder->labels);
    free(builder->prompt_end);
    free(builder->of_group);
}

// The examples that shots are drawn from: a file or folder as another task.
static enum status load_pool(struct task_examples **pool, const struct task_source *source, const char *path,
                             struct error *err)
{
    const struct task_source other = {.path = path, .format = source->format, .delimiter = source->delimiter};
    struct task_builder builder = {.path = path, .delimiter = source->delimiter};
    char *text = NULL;

    FORWARD_IF_ERROR(allocate(pool, 1, sizeof **pool, "shots", err));
    builder.task = *pool;
    const enum status status = load(&builder, &other, "dev", &text, err);
    free(text);
    builder_clear(&builder);
    return status;
}

static enum status add_shots(struct task_builder *builder, const struct task_source *source,
                             struct error *err)
{
    struct task_source settled = *source;
    struct task_examples none = {.format = builder->task->format}, *pool = NULL;
    char path[PATH_SIZE];
    enum status status = STATUS_OK;

    settled.format = builder->task->format;
    if (source->shots == 0)
        return settled.format == TASK_MMLU ? task_add_shots(builder, &settled, &none, false, err) : STATUS_OK;
    FORWARD_IF_ERROR(task_shots_path(path, sizeof path, &settled, err));
    status = load_pool(&pool, &settled, path, err);
    if (status == STATUS_OK)
        status = task_add_shots(builder, &settled, pool,
                                !task_is_folder(path) && strcmp(path, source->path) == 0, err);
    if (status == STATUS_OK) { // the result is of both
        const uint64_t hashes[2] = {builder->task->hash, pool->hash};
        builder->task->hash = XXH3_64bits(hashes, sizeof hashes);
    }
    task_examples_free(pool);
    return status;
}

enum status task_load_source(struct task_examples **examples, const struct task_source *source,
                             struct error *err)
{
    struct task_builder builder = {
        .path = source->path, .delimiter = source->delimiter, .limit = source->limit};
    char *text = NULL;

    *examples = NULL;
    FORWARD_IF_ERROR(allocate(&builder.task, 1, sizeof *builder.task, "a task", err));
    enum status status = load(&builder, source, "test", &text, err);
    if (status == STATUS_OK)
        status = add_shots(&builder, source, err);
    free(text);
    builder_clear(&builder);
    if (status == STATUS_OK)
        *examples = builder.task;
    else
        task_examples_free(builder.task);
    return status;
}

enum status task_load(struct task_examples **examples, const char *path, enum task_format format,
                      size_t limit, const char *delimiter, struct error *err)
{
    const struct task_source source = {
        .path = path, .format = format, .limit = limit, .delimiter = delimiter};
    return task_load_source(examples, &source, err);
}
