// Numbers as text: read strictly, written as short as they read back, the same in every locale.
#include "pipeline/text/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void decimal_numbers_are_read(void **state)
{
    static const struct {
        const char *text;
        double value;
    } cases[] = {{"0", 0},         {"0.5", 0.5},    {".5", 0.5},    {"5.", 5},  {"-1.25", -1.25},
                 {"+3", 3},        {"1e-8", 1e-8},  {"1E+2", 100},  {"007", 7}, {"0.1", 0.1},
                 {"1e308", 1e308}, {"2.5e3", 2500}, {"1e-400", 0.0}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        double value = NAN;
        if (!number_parse(cases[i].text, &value) || value != cases[i].value)
            fail_msg("'%s' gave %g", cases[i].text, value);
    }
}

static void what_is_no_decimal_number_is_refused(void **state)
{
    static const char *const texts[] = {"",   " 1",  "1 ", "1x",    "0x10", "inf",   "nan", "-",     ".",
                                        "1e", "1e+", "e5", "1.2.3", "1,5",  "1_000", "--1", "1e999", "½"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        double value;
        if (number_parse(texts[i], &value))
            fail_msg("'%s' was taken as %g", texts[i], value);
    }
}

static void whole_numbers_are_digits_that_fit(void **state)
{
    uint64_t value = 1;
    (void)state;
    assert_true(whole_parse("0", &value) && value == 0);
    assert_true(whole_parse("18446744073709551615", &value) && value == UINT64_MAX);
    assert_false(whole_parse("18446744073709551616", &value));
    assert_false(whole_parse("99999999999999999999", &value));
    assert_false(whole_parse("", &value));
    assert_false(whole_parse("+1", &value));
    assert_false(whole_parse("-1", &value));
    assert_false(whole_parse("1.0", &value));
    assert_false(whole_parse("1 ", &value));
}

static void numbers_are_written_as_short_as_they_read_back(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0.5, "0.5"},
                 {0.25, "0.25"},
                 {0.1, "0.1"},
                 {0.3, "0.3"},
                 {1, "1"},
                 {10, "10"},
                 {0, "0"},
                 {1e-8, "1e-8"},
                 {1e20, "1e20"},
                 {0.05, "0.05"},
                 {1e-5, "1e-5"},
                 {1e-4, "0.0001"},
                 {100000, "100000"},
                 {1e6, "1e6"},
                 {1234567, "1234567"},
                 {12345678901.0, "12345678901"},
                 {1.5e-7, "1.5e-7"},
                 {1e16, "1e16"},
                 {-2.5, "-2.5"},
                 {0.1 + 0.2, "0.30000000000000004"}};
    char text[32];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(number_format(cases[i].value, text, sizeof text), cases[i].text);
}

static void every_double_survives_writing_and_reading(void **state)
{
    static const double values[] = {DBL_MAX, DBL_MIN, DBL_EPSILON,        1.0 / 3,
                                    2.0 / 3, 0.7,     123456789.123456789};
    char text[32];
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        double back = 0;
        assert_true(number_parse(number_format(values[i], text, sizeof text), &back));
        assert_true(back == values[i]);
    }
}

// Needs a locale with a decimal comma; most small systems have none.
static void the_locale_does_not_matter(void **state)
{
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "nl_NL.UTF-8"};
    const char *found = NULL;
    char text[32];
    double value = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(locales) && found == NULL; i++)
        found = setlocale(LC_NUMERIC, locales[i]);
    if (found == NULL) {
        print_message("skipped: no locale with a decimal comma is installed\n");
        skip();
    }
    assert_true(number_parse("0.5", &value) && value == 0.5);
    assert_string_equal(number_format(0.5, text, sizeof text), "0.5");
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimal_numbers_are_read),
        cmocka_unit_test(what_is_no_decimal_number_is_refused),
        cmocka_unit_test(whole_numbers_are_digits_that_fit),
        cmocka_unit_test(numbers_are_written_as_short_as_they_read_back),
        cmocka_unit_test(every_double_survives_writing_and_reading),
        cmocka_unit_test(the_locale_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
