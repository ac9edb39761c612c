#include "pipeline/plan/warnings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void warnings_add(struct warnings *warnings, const char *format, ...)
{
    va_list arguments;
    char *line;

    va_start(arguments, format);
    if (vasprintf(&line, format, arguments) < 0)
        line = NULL;
    va_end(arguments);
    if (line != NULL && warnings->count < WARNINGS_MAX)
        warnings->lines[warnings->count++] = line;
    else
        free(line);
}

void warnings_free(struct warnings *warnings)
{
    for (size_t i = 0; i < warnings->count; i++)
        free(warnings->lines[i]);
    *warnings = (struct warnings){0};
}
