#include "pipeline/number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// strtod and printf follow the locale's decimal point, so both run in the C locale of this thread.
static locale_t enter_c_locale(locale_t *c_locale)
{
    *c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return *c_locale != (locale_t)0 ? uselocale(*c_locale) : (locale_t)0;
}

static void leave_c_locale(locale_t c_locale, locale_t before)
{
    if (c_locale != (locale_t)0) {
        uselocale(before);
        freelocale(c_locale);
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *text, size_t *count)
{
    for (*count = 0; is_digit(*text); text++)
        (*count)++;
    return text;
}

static bool is_decimal(const char *text)
{
    size_t whole, fraction = 0, exponent;

    if (*text == '+' || *text == '-')
        text++;
    text = skip_digits(text, &whole);
    if (*text == '.')
        text = skip_digits(text + 1, &fraction);
    if (whole + fraction == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        if (*text == '+' || *text == '-')
            text++;
        text = skip_digits(text, &exponent);
        if (exponent == 0)
            return false;
    }
    return *text == '\0';
}

bool number_parse(const char *text, double *value)
{
    locale_t c_locale;

    if (!is_decimal(text))
        return false;
    locale_t before = enter_c_locale(&c_locale);
    *value = strtod(text, NULL);
    leave_c_locale(c_locale, before);
    return isfinite(*value);
}

bool whole_parse(const char *text, uint64_t *value)
{
    if (!is_digit(*text))
        return false;
    *value = 0;
    for (; is_digit(*text); text++) {
        const uint64_t digit = (uint64_t)(*text - '0');
        if (*value > (UINT64_MAX - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return *text == '\0';
}

// "1e-08" -> "1e-8", "1e+20" -> "1e20".
static void tidy_exponent(char *text)
{
    char *to = strchr(text, 'e');
    if (to == NULL)
        return;
    const char *from = ++to;
    if (*from == '-')
        *to++ = *from++;
    else if (*from == '+')
        from++;
    while (*from == '0' && from[1] != '\0')
        from++;
    memmove(to, from, strlen(from) + 1);
}

const char *number_format(double value, char *text, size_t size)
{
    locale_t c_locale;

    locale_t before = enter_c_locale(&c_locale);
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    leave_c_locale(c_locale, before);
    tidy_exponent(text);
    return text;
}
