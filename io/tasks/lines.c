#include "io/tasks/lines.h"

#include <stdlib.h>
#include <string.h>

enum status task_add_text(struct task_builder *builder, const char *text, struct error *err)
{
    const char *last = strrchr(text, ' ');
    char *before = strndup(text, last != NULL ? (size_t)(last - text) : 0);
    const char *const context[] = {before, NULL};
    enum status status = before != NULL
                             ? task_add_example(builder, 0, err)
                             : error_set(err, STATUS_MEMORY, "out of memory for %s", builder->path);
    struct task_span span;

    if (status == STATUS_OK)
        status = task_join(&span, builder, context, err);
    if (status == STATUS_OK)
        status = task_add_option(builder, span, builder->delimiter, last != NULL ? last + 1 : text, err);
    free(before);
    return status;
}

enum status task_add_entailment(struct task_builder *builder, const char *premise, const char *hypothesis,
                                const char *label, struct error *err)
{
    static const char *const choices[] = {"True", "False"};
    const char *const context[] = {premise, "\nQuestion: ", hypothesis, " True or False?\nAnswer:", NULL};

    if (strcmp(label, "entailment") != 0 && strcmp(label, "not_entailment") != 0)
        return task_refuse(builder, err, "the label is neither entailment nor not_entailment");
    return task_add_choices(builder, context, choices, 2, strcmp(label, "entailment") != 0, err);
}

// The line's next cell, ended with a NUL; NULL after the last.
static char *next_cell(char **rest)
{
    char *cell = *rest;
    if (cell != NULL) {
        char *tab = strchr(cell, '\t');
        if (tab != NULL)
            *tab++ = '\0';
        *rest = tab;
    }
    return cell;
}

static const char *const column_names[3] = {"sentence1", "sentence2", "label"};

enum status task_begin_table(struct task_builder *builder, char *line, struct error *err)
{
    for (size_t c = 0; c < 3; c++)
        builder->columns[c] = SIZE_MAX;
    size_t column = 0;
    for (char *cell; (cell = next_cell(&line)) != NULL; column++)
        for (size_t c = 0; c < 3; c++)
            if (strcmp(cell, column_names[c]) == 0)
                builder->columns[c] = column;
    for (size_t c = 0; c < 3; c++)
        if (builder->columns[c] == SIZE_MAX)
            return task_refuse(builder, err, "the table has no column \"%s\"", column_names[c]);
    return STATUS_OK;
}

enum status task_add_row(struct task_builder *builder, char *line, struct error *err)
{
    const char *cells[3] = {NULL, NULL, NULL};
    size_t column = 0;
    for (char *cell; (cell = next_cell(&line)) != NULL; column++)
        for (size_t c = 0; c < 3; c++)
            if (builder->columns[c] == column)
                cells[c] = cell;
    for (size_t c = 0; c < 3; c++)
        if (cells[c] == NULL)
            return task_refuse(builder, err, "the row has no \"%s\": it ends after %zu cells",
                               column_names[c], column);
    return task_add_entailment(builder, cells[0], cells[1], cells[2], err);
}
