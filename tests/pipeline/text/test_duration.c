// Durations: seconds and the forms of Slurm.
#include "pipeline/text/duration.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

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
                 {"90s", 90},
                 {"30m", 1800},
                 {"4h", 14400},
                 {"4H", 14400},
                 {"1h30m", 5400},
                 {"1.5h", 5400},
                 {"1d2h3m4s", 93784},
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
        "",   "  ",    "-1",   "-1:00",         "1:60",  "1:00:60", "1:2:3:4", "1-24", "1-",  "-",      ":",
        "1:", ":30",   "1x",   "INVALID",       "h",     "1m1h",    "1h1h",    "1h30", "-1h", "1.2.3h", "1 h",
        "m5", "1-2-3", "1 30", "9999999999:00", "1:0.5", "nan"};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_seconds_or_slurm_times),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(durations_are_shown_as_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
