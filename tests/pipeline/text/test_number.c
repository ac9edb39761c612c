// Numbers, durations and near words: the small things that the job file and the command line are read with.
#include "pipeline/cli/exit_code.h"
#include "pipeline/text/duration.h"
#include "pipeline/text/number.h"
#include "pipeline/text/suggest.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void durations_are_seconds_or_slurm_times(void **state)
{
    static const struct {
        const char *text;
        double seconds;
    } cases[] = {{"90", 90},
                 {"0.5", 0.5},
                 {"1e3", 1000},
                 {"1e-3", 0.001},
                 {"3:04", 184},
                 {"90:00", 5400},
                 {"01:02:03", 3723},
                 {"100:00:00", 360000},
                 {"1-0", 86400},
                 {"1-02", 93600},
                 {"1-02:03", 93780},
                 {"1-02:03:04", 93784},
                 {"2:03:04             ", 7384}, // squeue -O pads
                 {"UNLIMITED", 0}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        double seconds = -1;
        if (!duration_parse(cases[i].text, &seconds) || seconds != cases[i].seconds)
            fail_msg("'%s' gave %g", cases[i].text, seconds);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    static const char *const texts[] = {
        "",  "  ", "-1",  "-1:00", "1:60",    "1:00:60", "1:2:3:4", "1-24",          "1-",    "-",
        ":", "1:", ":30", "1h",    "INVALID", "1-2-3",   "1 30",    "9999999999:00", "1:0.5", "nan"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        double seconds;
        if (duration_parse(texts[i], &seconds))
            fail_msg("'%s' was taken as %g", texts[i], seconds);
    }
}

static void durations_are_shown_as_clocks(void **state)
{
    char text[24];
    (void)state;
    assert_string_equal(duration_format(0, text, sizeof text), "00:00:00");
    assert_string_equal(duration_format(59.4, text, sizeof text), "00:00:59");
    assert_string_equal(duration_format(59.5, text, sizeof text), "00:01:00");
    assert_string_equal(duration_format(86399, text, sizeof text), "23:59:59");
    assert_string_equal(duration_format(93784, text, sizeof text), "1-02:03:04");
    assert_string_equal(duration_format(-1, text, sizeof text), "--:--:--");
    assert_string_equal(duration_format(NAN, text, sizeof text), "--:--:--");
    assert_string_equal(duration_format(INFINITY, text, sizeof text), "--:--:--");
}

static void edits_are_counted(void **state)
{
    (void)state;
    assert_int_equal(edit_distance("", ""), 0);
    assert_int_equal(edit_distance("abc", "abc"), 0);
    assert_int_equal(edit_distance("", "abc"), 3);
    assert_int_equal(edit_distance("abc", ""), 3);
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
    assert_int_equal(edit_distance("rnu", "run"), 1); // swapped neighbours are one slip
    assert_int_equal(edit_distance("sparcity", "sparsity"), 1);
}

static void only_a_near_word_is_suggested(void **state)
{
    static const char *const words[] = {"plan", "run", "calibrate", "score"};
    (void)state;
    assert_string_equal(suggest_nearest("rnu", words, COUNT(words)), "run");
    assert_string_equal(suggest_nearest("calibarte", words, COUNT(words)), "calibrate");
    assert_string_equal(suggest_nearest("scores", words, COUNT(words)), "score");
    assert_null(suggest_nearest("prune", words, COUNT(words)));
    assert_null(suggest_nearest("", words, COUNT(words)));
    assert_null(suggest_nearest("x", words, 0));
    assert_null(suggest_nearest("x", (const char *const[]){"y"}, 1)); // no letter in common
}

static void the_nearest_word_wins_and_the_first_of_equals(void **state)
{
    static const char *const words[] = {"storm", "score", "stored", "store"};
    (void)state;
    assert_string_equal(suggest_nearest("scored", words, COUNT(words)), "score");
    assert_string_equal(suggest_nearest("stores", words, COUNT(words)), "stored");
    assert_string_equal(suggest_nearest("store", words, COUNT(words)), "store");
}

static void a_word_of_any_length_can_be_compared(void **state)
{
    char word[5000];
    (void)state;
    memset(word, 'a', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    assert_true(edit_distance(word, "a") > 50);
}

static void exit_codes_are_those_of_the_manual(void **state)
{
    (void)state;
    assert_int_equal(exit_code(STATUS_OK), 0);
    assert_int_equal(exit_code(STATUS_DAMAGED), 1);
    assert_int_equal(exit_code(STATUS_FAILED), 1);
    assert_int_equal(exit_code(STATUS_MEMORY), 1);
    assert_int_equal(exit_code(STATUS_USAGE), 2);
    assert_int_equal(exit_code(STATUS_INPUT), 3);
    assert_int_equal(exit_code(STATUS_STOPPED), 75);
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
        cmocka_unit_test(durations_are_seconds_or_slurm_times),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(durations_are_shown_as_clocks),
        cmocka_unit_test(edits_are_counted),
        cmocka_unit_test(only_a_near_word_is_suggested),
        cmocka_unit_test(the_nearest_word_wins_and_the_first_of_equals),
        cmocka_unit_test(a_word_of_any_length_can_be_compared),
        cmocka_unit_test(exit_codes_are_those_of_the_manual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
