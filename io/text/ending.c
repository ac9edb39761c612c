#include "io/text/ending.h"

#include <string.h>
#include <strings.h>

bool ends_with(const char *text, const char *ending)
{
    const size_t size = strlen(text), length = strlen(ending);
    return size >= length && memcmp(text + size - length, ending, length) == 0;
}

bool ends_in_any_case(const char *text, size_t size, const char *ending)
{
    const size_t length = strlen(ending);
    return size >= length && strncasecmp(text + size - length, ending, length) == 0;
}
