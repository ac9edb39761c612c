#include "pipeline/text/duration.h"
#include "pipeline/text/number.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, MOST_DIGITS = 9 };

// Splits "a:b:c" into whole numbers. 0: not such a text, or more than three of them.
static size_t split_clock(const char *text, uint64_t parts[3])
{
    size_t count = 0;
    for (;;) {
        char digits[MOST_DIGITS + 1];
        const size_t length = strcspn(text, ":");
        if (length > MOST_DIGITS || count == 3)
            return 0;
        memcpy(digits, text, length);
        digits[length] = '\0';
        if (!whole_parse(digits, &parts[count++]))
            return 0;
        if (text[length] == '\0')
            return count;
        text += length + 1;
    }
}

// Only the first number may be larger than its place allows: 90:00 is fine, 1:90 is a mistake.
static bool places_in_range(const uint64_t *parts, size_t count, bool first_is_hours_of_day)
{
    if (first_is_hours_of_day && parts[0] > 23)
        return false;
    for (size_t i = 1; i < count; i++)
        if (parts[i] > 59)
            return false;
    return true;
}

static bool parse_clock(const char *text, double *seconds)
{
    uint64_t parts[3] = {0, 0, 0}, days = 0;
    const char *dash = strchr(text, '-');

    if (dash != NULL) {
        char digits[MOST_DIGITS + 1];
        const size_t length = (size_t)(dash - text);
        if (length > MOST_DIGITS)
            return false;
        memcpy(digits, text, length);
        digits[length] = '\0';
        if (!whole_parse(digits, &days))
            return false;
        text = dash + 1;
    }
    const size_t count = split_clock(text, parts);
    if (count == 0 || !places_in_range(parts, count, dash != NULL))
        return false;
    if (dash != NULL || count == 3) // hours come first
        *seconds = (double)(days * DAY + parts[0] * HOUR + parts[1] * MINUTE + parts[2]);
    else
        *seconds = (double)(parts[0] * MINUTE + parts[1]);
    return true;
}

// "1h30m": numbers with units, each once, the larger first.
static bool parse_units(const char *text, double *seconds)
{
    static const struct {
        char unit;
        double seconds;
    } units[] = {{'d', DAY}, {'h', HOUR}, {'m', MINUTE}, {'s', 1}};
    double sum = 0;
    size_t next = 0; // of the units that may follow

    while (*text != '\0') {
        char number[32];
        const size_t length = strspn(text, "0123456789.");
        double value;
        while (next < sizeof units / sizeof *units &&
               units[next].unit != tolower((unsigned char)text[length]))
            next++;
        if (length == 0 || length >= sizeof number || next == sizeof units / sizeof *units)
            return false;
        memcpy(number, text, length);
        number[length] = '\0';
        if (!number_parse(number, &value))
            return false;
        sum += value * units[next++].seconds;
        text += length + 1;
    }
    *seconds = sum;
    return true;
}

bool duration_parse(const char *text, double *seconds)
{
    char trimmed[64];
    size_t length;

    while (isspace((unsigned char)*text))
        text++;
    length = strlen(text);
    while (length > 0 && isspace((unsigned char)text[length - 1]))
        length--;
    if (length == 0 || length >= sizeof trimmed)
        return false;
    memcpy(trimmed, text, length);
    trimmed[length] = '\0';

    if (strcasecmp(trimmed, "UNLIMITED") == 0) {
        *seconds = 0;
        return true;
    }
    if (trimmed[0] == '-' || trimmed[0] == '+')
        return false;
    if (strpbrk(trimmed, ":-") != NULL && strpbrk(trimmed, "eE.") == NULL)
        return parse_clock(trimmed, seconds);
    if (strchr("dhmsDHMS", trimmed[length - 1]) != NULL)
        return parse_units(trimmed, seconds);
    return number_parse(trimmed, seconds);
}

const char *duration_format(double seconds, char *text, size_t size)
{
    const double longest = 1000.0 * (double)DAY;

    if (!(seconds >= 0 && seconds < longest)) {
        snprintf(text, size, "--:--:--");
        return text;
    }
    const unsigned long whole = (unsigned long)(seconds + 0.5);
    const unsigned long days = whole / DAY, hours = whole % DAY / HOUR, minutes = whole % HOUR / MINUTE;
    if (days != 0)
        snprintf(text, size, "%lu-%02lu:%02lu:%02lu", days, hours, minutes, whole % MINUTE);
    else
        snprintf(text, size, "%02lu:%02lu:%02lu", hours, minutes, whole % MINUTE);
    return text;
}
