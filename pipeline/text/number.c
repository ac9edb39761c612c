#include "pipeline/text/number.h"

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

// d digits that read back as value, of the form "d.ddde-XX"; returns d and the decimal exponent.
static int shortest_digits(double value, int *exponent)
{
    char text[40];
    int digits = 0;
    do {
        digits++;
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
    } while (digits < 17 && strtod(text, NULL) != value);
    *exponent = atoi(strchr(text, 'e') + 1);
    return digits;
}

const char *number_format(double value, char *text, size_t size)
{
    locale_t c_locale;
    int exponent;

    locale_t before = enter_c_locale(&c_locale);
    const int digits = shortest_digits(value, &exponent);
    // An exponent only where it is shorter than zeros: 0.0001, 1e-5; 100000, 1e6, 1234567.
    if (exponent > -5 && (exponent < 6 || (exponent < digits && exponent < 17))) {
        snprintf(text, size, "%.*f", digits > exponent + 1 ? digits - 1 - exponent : 0, value);
    } else {
        snprintf(text, size, "%.*e", digits - 1, value);
        snprintf(strchr(text, 'e'), size - strcspn(text, "e"), "e%d", exponent);
    }
    leave_c_locale(c_locale, before);
    return text;
}
