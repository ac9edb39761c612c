#include "pipeline/plan/warnings/warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool make_room(struct warnings *warnings)
{
    if (warnings->count < warnings->room)
        return true;
    const size_t room = warnings->room > 0 ? 2 * warnings->room : 8;
    char **lines = realloc(warnings->lines, room * sizeof *lines);
    if (lines == NULL)
        return false;
    warnings->lines = lines;
    warnings->room = room;
    return true;
}

void warnings_add(struct warnings *warnings, const char *format, ...)
{
    va_list arguments;
    char *line;

    va_start(arguments, format);
    const bool is_made = vasprintf(&line, format, arguments) >= 0;
    va_end(arguments);
    if (is_made && make_room(warnings)) {
        warnings->lines[warnings->count++] = line;
        return;
    }
    warnings->is_cut = true;
    if (is_made)
        free(line);
}

enum status warnings_check(const struct warnings *warnings, struct error *err)
{
    RETURN_ERROR_IF(warnings->is_cut, err, STATUS_MEMORY, "out of memory for warnings");
    return STATUS_OK;
}

void warnings_free(struct warnings *warnings)
{
    for (size_t i = 0; i < warnings->count; i++)
        free(warnings->lines[i]);
    free(warnings->lines);
    *warnings = (struct warnings){0};
}
