#include "kernels/amount.h"

#include <stdio.h>

const char *amount_format(double value, const char *unit, char *text, size_t size)
{
    static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
    size_t p = 0;
    while (value >= 1000 && p + 1 < sizeof prefixes / sizeof *prefixes) {
        value /= 1000;
        p++;
    }
    snprintf(text, size, p > 0 && value < 100 ? "%.1f %s%s" : "%.0f %s%s", value, prefixes[p], unit);
    return text;
}
