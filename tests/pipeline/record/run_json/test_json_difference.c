// The message about the first difference between two JSON values.
#include "pipeline/record/run_json/json_difference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static json_t *read_json(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

static void the_first_difference_is_named(void **state)
{
    static const struct {
        const char *before, *now, *text;
    } cases[] = {
        {"{\"a\": {\"b\": 1}}", "{\"a\": {\"b\": 2}}", "a.b: 1 before, 2 now"},
        {"{\"a\": [1, 2]}", "{\"a\": [1, 3]}", "a[1]: 2 before, 3 now"},
        {"{\"a\": [1]}", "{\"a\": [1, {\"b\": 0}]}", "a[1]: nothing before, {\"b\":0} now"},
        {"{\"a\": [{\"b\": \"x\"}]}", "{\"a\": [{\"b\": \"y\"}]}", "a[0].b: \"x\" before, \"y\" now"},
        {"{\"a\": 1}", "{}", "a: 1 before, nothing now"},
        {"{\"a\": null}", "{\"a\": \"/o\"}", "a: nothing before, \"/o\" now"},
        {"{}", "{\"a\": true}", "a: nothing before, true now"},
        {"{\"a\": 1, \"b\": {\"c\": 1}}", "{\"a\": 1, \"b\": {\"c\": []}}", "b.c: 1 before, [] now"},
    };
    char text[256];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *before = read_json(cases[i].before), *now = read_json(cases[i].now);
        assert_true(json_difference(before, now, text, sizeof text));
        assert_string_equal(text, cases[i].text);
        json_decref(before);
        json_decref(now);
    }
}

static void equal_values_have_no_difference(void **state)
{
    static const char json[] = "{\"a\": [1, null, {\"b\": \"x\"}], \"c\": {\"d\": 0.5}}";
    json_t *a = read_json(json), *b = read_json(json);
    char text[256] = "untouched";
    (void)state;
    assert_false(json_difference(a, b, text, sizeof text));
    assert_string_equal(text, "untouched");
    json_decref(a);
    json_decref(b);
}

static void a_path_too_deep_for_the_line_is_cut(void **state)
{
    json_t *before = json_integer(1), *now = json_integer(2);
    char text[512];
    (void)state;
    for (int depth = 0; depth < 100; depth++) {
        before = json_pack("{s:o}", "a_long_word_for_a_key", before);
        now = json_pack("{s:o}", "a_long_word_for_a_key", now);
    }
    assert_true(json_difference(before, now, text, sizeof text));
    assert_non_null(strstr(text, ": 1 before, 2 now"));
    json_decref(before);
    json_decref(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_difference_is_named),
        cmocka_unit_test(equal_values_have_no_difference),
        cmocka_unit_test(a_path_too_deep_for_the_line_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
