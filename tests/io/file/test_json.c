// json.h: numbers are written with the fewest digits that read back the same, and nothing else is touched.
#include "io/file/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_text(const char *json, const char *expected)
{
    json_t *value = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    char *text = json_text(value, JSON_ENCODE_ANY | JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(value);
}

static void decimals_are_as_a_person_writes_them(void **state)
{
    (void)state;
    assert_text("0.3", "0.3");
    assert_text("[0.1, 1.1, 6.0, 5, -0.7]", "[0.1,1.1,6.0,5,-0.7]");
    assert_text("1e22", "1e22");
    assert_text("1e-7", "1e-7");
    assert_text("123456789012345678.0", "1.2345678901234568e17");
    assert_text("1e15", "1000000000000000.0");
    assert_text("0.30000000000000004", "0.30000000000000004");
}

static void what_is_no_number_stays(void **state)
{
    (void)state;
    assert_text("{\"0.29999999999999999\": \"1e0\\\\\"}", "{\"0.29999999999999999\":\"1e0\\\\\"}");
    assert_text("[true, false, null, \"\\\"0.29999999999999999\"]",
                "[true,false,null,\"\\\"0.29999999999999999\"]");
}

// The fewest digits that printf needs.
static size_t digits_of(double value)
{
    char text[40];
    int digits = 1;
    for (; snprintf(text, sizeof text, "%.*e", digits - 1, value) > 0 && strtod(text, NULL) != value;
         digits++)
        ;
    return (size_t)digits;
}

static size_t digits_in(const char *text)
{
    size_t digits = 0, zeros = 0;
    bool any = false;
    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text < '0' || *text > '9')
            continue;
        any = any || *text != '0';
        digits += any;
        zeros = *text == '0' ? zeros + any : 0;
    }
    return digits - zeros;
}

static void any_number_reads_back_from_the_fewest_digits(void **state)
{
    uint64_t seed = 1;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        // Ratios with few decimals, and any others from 1e-30 to 1e30.
        double value = (double)(seed >> 54) / 1000;
        if (i % 2 == 1) {
            char text[40];
            snprintf(text, sizeof text, "%llue%d", (unsigned long long)(seed >> 11), (int)(seed >> 58) - 46);
            value = strtod(text, NULL);
        }
        json_t *json = json_real(value);
        char *text = json_text(json, JSON_ENCODE_ANY), *before = json_dumps(json, JSON_ENCODE_ANY);
        assert_true(strtod(text, NULL) == value);
        assert_true(strlen(text) <= strlen(before) && strpbrk(text, ".e") != NULL);
        if (value < 1e15)
            assert_int_equal(digits_in(text), value == 0 ? 0 : digits_of(value));
        free(text);
        free(before);
        json_decref(json);
    }
}

// What Python's reader lets pass is called by its name.
static void what_is_almost_json_is_refused_by_name(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"a\": 1,\n\"a\": 1}", "f: a key stands twice in one object, near '\"a\"' (line 2, column 3)"},
        {"[NaN]", "f: NaN and Infinity are no numbers in JSON, near 'NaN' (line 1, column 4)"},
        {"[Infinity]", "f: NaN and Infinity are no numbers in JSON, near 'Infinity' (line 1, column 9)"},
        {"[-Infinity]", "f: NaN and Infinity are no numbers in JSON, near '-' (line 1, column 2)"},
        {"[99999999999999999999]", "f: a number is too large for an integer of 64 bits, or for double, near "
                                   "'99999999999999999999' (line 1, column 21)"},
        {"[1e999]", "f: a number is too large for an integer of 64 bits, or for double, near '1e999' (line "
                    "1, column 6)"},
        {"[\"\\u0000\"]", "f: a text with a NUL character, near '\"\\u0000\"' (line 1, column 9)"},
        {"[\"\\u0000, and more than is quoted\"]", "f: a text with a NUL character (line 1, column 34)"},
        {"{\"\\u0000\": 1}", "f: a key with a NUL character, near '\"\\u0000\"' (line 1, column 9)"},
        {"[\"\\ud800\"]", "f: a text with one half of a surrogate pair (\\ud800 to \\udfff), near "
                          "'\"\\ud800\"' (line 1, column 9)"},
        {"[\"\\udc00\"]", "f: a text with one half of a surrogate pair (\\ud800 to \\udfff), near "
                          "'\"\\udc00\"' (line 1, column 9)"},
        {"[\"\\ud800\\u0041\"]", "f: a text with one half of a surrogate pair (\\ud800 to \\udfff), near "
                                 "'\"\\ud800\\u0041\"' (line 1, column 15)"},
        {"[\"\\ud8\"]", "f: not valid JSON: invalid escape near '\"\\ud8\"' (line 1, column 7)"},
        {"[nan]", "f: not valid JSON: invalid token near 'nan' (line 1, column 4)"},
        {"[1", "f: not valid JSON: ']' expected near end of file (line 1, column 2)"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        json_t *json;
        assert_int_equal(json_parse(&json, cases[i].text, strlen(cases[i].text), "f", &err), STATUS_INPUT);
        assert_string_equal(err.message, cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_are_as_a_person_writes_them),
        cmocka_unit_test(what_is_no_number_stays),
        cmocka_unit_test(what_is_almost_json_is_refused_by_name),
        cmocka_unit_test(any_number_reads_back_from_the_fewest_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
