#include "pipeline/text/say.h"

#include "io/text/printable.h"

#include <stdarg.h>

void say(FILE *out, const char *format, ...)
{
    char line[2048];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    make_printable(line);
    fprintf(out, "coppice: %s\n", line);
}
