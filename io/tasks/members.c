#include "io/tasks/members.h"

#include "io/tasks/labels.h"

#include <stdlib.h>

enum status task_get_text(const char **text, const struct task_builder *builder, const json_t *object,
                          const char *member, struct error *err)
{
    const json_t *value = json_object_get(object, member);
    if (value == NULL)
        return task_refuse(builder, err, "the example has no \"%s\"", member);
    *text = json_string_value(value);
    return *text != NULL ? STATUS_OK : task_refuse(builder, err, "\"%s\" is not a text", member);
}

enum status task_get_list(const json_t **list, const struct task_builder *builder, const json_t *object,
                          const char *member, struct error *err)
{
    size_t i;
    json_t *item;

    *list = json_object_get(object, member);
    if (*list == NULL)
        return task_refuse(builder, err, "the example has no \"%s\"", member);
    if (!json_is_array(*list))
        return task_refuse(builder, err, "\"%s\" is not a list", member);
    if (json_array_size(*list) == 0)
        return task_refuse(builder, err, "\"%s\" is empty", member);
    json_array_foreach(*list, i, item)
    {
        if (!json_is_string(item))
            return task_refuse(builder, err, "\"%s\"[%zu] is not a text", member, i);
    }
    return STATUS_OK;
}

enum status task_get_answer(size_t *gold, const struct task_builder *builder, const json_t *object,
                            const char *member, long first, size_t count, struct error *err)
{
    const json_t *value = json_object_get(object, member);
    const char *text = json_string_value(value);
    char *end = NULL;
    long long number = 0;

    if (value == NULL)
        return task_refuse(builder, err, "the example has no \"%s\"", member);
    if (text != NULL)
        number = strtoll(text, &end, 10);
    else
        number = json_integer_value(value);
    if (text != NULL ? *text == '\0' || *end != '\0' : !json_is_integer(value))
        return task_refuse(builder, err, "\"%s\" is not a whole number", member);
    if (number < first || number - first >= (long long)count)
        return task_refuse(builder, err, "\"%s\" is %lld: not one of %zu choices, counted from %ld", member,
                           number, count, first);
    *gold = (size_t)(number - first);
    return STATUS_OK;
}

enum status task_get_label(size_t *gold, struct task_builder *builder, long first, size_t count,
                           const char *member, struct error *err)
{
    const size_t example = builder->task->num_examples;

    FORWARD_IF_ERROR(task_find_labels(builder, err));
    if (builder->labels == NULL)
        return task_refuse(builder, err, "the example has no \"%s\", and there is no %s next to the file",
                           member, builder->labels_name);
    if (example >= builder->num_labels)
        return task_refuse(builder, err, "the example has no label: %s ends after %zu", builder->labels_name,
                           builder->num_labels);
    const long label = builder->labels[example];
    if (label < first || (size_t)(label - first) >= count)
        return task_refuse(builder, err, "its label, line %zu of %s, is %ld: not one of %zu choices",
                           example + 1, builder->labels_name, label, count);
    *gold = (size_t)(label - first);
    return STATUS_OK;
}
