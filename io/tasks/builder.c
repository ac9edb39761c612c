#include "io/tasks/builder.h"

#include "io/file/text/stream.h"
#include "io/tasks/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum status task_refuse(const struct task_builder *builder, struct error *err, const char *format, ...)
{
    char reason[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    return error_set(err, STATUS_INPUT, "%s:%zu: %s", builder->path, builder->line, reason);
}

// ---- growing --------------------------------------------------------------------------------------------

// Makes room for `more` elements of `size` bytes after the `used` ones of *array, which has *capacity. Grows
// by half, so that adding is linear.
static enum status reserve(void *array, size_t *capacity, size_t used, size_t more, size_t size,
                           const struct task_builder *builder, struct error *err)
{
    void *old, *grown;

    if (more <= *capacity - used)
        return STATUS_OK;
    RETURN_ERROR_IF(more > SIZE_MAX / 4 / size - used, err, STATUS_MEMORY, "out of memory for %s",
                    builder->path);
    size_t wanted = used + more + (used + more) / 2 + 64;
    memcpy(&old, array, sizeof old);
    grown = realloc(old, wanted * size);
    RETURN_ERROR_IF(grown == NULL, err, STATUS_MEMORY, "out of memory: %zu bytes for %s", wanted * size,
                    builder->path);
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return STATUS_OK;
}

enum status task_join(struct task_span *span, struct task_builder *builder, const char *const *pieces,
                      struct error *err)
{
    struct task_examples *task = builder->task;

    span->offset = builder->text_size;
    for (; *pieces != NULL; pieces++) {
        const size_t size = strlen(*pieces);
        FORWARD_IF_ERROR(
            reserve(&task->text, &builder->text_capacity, builder->text_size, size + 1, 1, builder, err));
        memcpy(task->text + builder->text_size, *pieces, size);
        builder->text_size += size;
    }
    span->size = builder->text_size - span->offset;
    return STATUS_OK;
}

enum status task_add_example(struct task_builder *builder, size_t gold, struct error *err)
{
    struct task_examples *task = builder->task;

    FORWARD_IF_ERROR(reserve(&task->examples, &builder->examples_capacity, task->num_examples, 1,
                             sizeof *task->examples, builder, err));
    task->examples[task->num_examples++] =
        (struct task_example){.line = builder->line, .first_option = task->num_options, .gold = gold};
    return STATUS_OK;
}

enum status task_add_option(struct task_builder *builder, struct task_span context, const char *between,
                            const char *text, struct error *err)
{
    struct task_examples *task = builder->task;
    struct task_example *example = &task->examples[task->num_examples - 1];
    const char *const pieces[] = {between, text, NULL};
    struct task_option option = {.context = context, .bytes = strlen(text)};

    // acc_norm divides by its length.
    if (option.bytes == 0)
        return task_refuse(builder, err, "choice %zu is empty", example->num_options);
    option.characters = count_characters(text, option.bytes);
    FORWARD_IF_ERROR(task_join(&option.continuation, builder, pieces, err));
    FORWARD_IF_ERROR(reserve(&task->options, &builder->options_capacity, task->num_options, 1,
                             sizeof *task->options, builder, err));
    task->options[task->num_options++] = option;
    example->num_options++;
    return STATUS_OK;
}

enum status task_add_choices(struct task_builder *builder, const char *const *context,
                             const char *const *choices, size_t count, size_t gold, struct error *err)
{
    struct task_span span;

    FORWARD_IF_ERROR(task_join(&span, builder, context, err));
    FORWARD_IF_ERROR(task_add_example(builder, gold, err));
    for (size_t i = 0; i < count; i++)
        FORWARD_IF_ERROR(task_add_option(builder, span, builder->delimiter, choices[i], err));
    return STATUS_OK;
}

// ---- files ------------------------------------------------------------------------------------------------

enum status task_read_text(char **text, size_t *size, uint64_t *hash, const struct task_builder *builder,
                           struct error *err)
{
    struct stream *stream;
    const char *bytes;
    size_t count, capacity = 0;
    enum status status;

    *text = NULL;
    *size = 0;
    FORWARD_IF_ERROR(stream_open(&stream, builder->path, err));
    do {
        GOTO_IF_ERROR(stream_read(stream, &bytes, &count, err), done);
        GOTO_IF_ERROR(reserve(text, &capacity, *size, count + 1, 1, builder, err), done);
        if (count > 0)
            memcpy(*text + *size, bytes, count);
        *size += count;
    } while (count > 0);
    (*text)[*size] = '\0';
    *hash = stream_hash(stream);
done:
    stream_close(stream);
    return status;
}

enum status task_check_text(struct task_builder *builder, const char *line, size_t size, struct error *err)
{
    const size_t first = builder->line;
    size_t begin = 0;
    for (size_t i = 0; i < size;) {
        utf8proc_int32_t code_point;
        const utf8proc_ssize_t length =
            utf8proc_iterate((const utf8proc_uint8_t *)line + i, (utf8proc_ssize_t)(size - i), &code_point);
        if (length <= 0 || code_point == 0)
            return task_refuse(builder, err, "not valid UTF-8 text at byte %zu of the line", i - begin + 1);
        i += (size_t)length;
        if (code_point == '\n') {
            builder->line++;
            begin = i;
        }
    }
    builder->line = first;
    return STATUS_OK;
}
