// run_record.h: the arithmetic of a run's starts.
#include "kernels/numerics.h"
#include "pipeline/record/run_json/run_record.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_numerics(const struct run_record *record, const char *expected)
{
    json_t *list = run_record_numerics(record);
    char *text = json_dumps(list, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(list);
}

static void a_run_of_one_version_has_nothing_to_tell(void **state)
{
    struct run_record record = {.json = json_pack("{s:{s:i}}", "versions", "numerics", NUMERICS)};
    struct error err = {0};
    char notice[400] = "x", one[16];
    (void)state;

    snprintf(one, sizeof one, "[%d]", NUMERICS);
    run_record_tell_numerics(notice, sizeof notice, &record);
    assert_string_equal(notice, "");
    assert_ok(run_record_add_numerics(&record, &err), err);
    assert_false(record.is_changed);
    assert_numerics(&record, one);
    assert_null(json_object_get(record.json, "numerics"));
    json_decref(record.json);
}

static void another_arithmetic_is_said_and_kept(void **state)
{
    struct run_record record = {.json = json_pack("{s:{s:s}}", "versions", "blis", "0.9.0")}; // says nothing
    struct error err = {0};
    char notice[400], both[32];
    (void)state;

    snprintf(both, sizeof both, "[1,%d]", NUMERICS);
    for (int start = 0; start < 2; start++) {
        record.is_changed = false;
        assert_ok(run_record_add_numerics(&record, &err), err);
        assert_int_equal(record.is_changed, start == 0);
        assert_numerics(&record, both);
        run_record_tell_numerics(notice, sizeof notice, &record);
        assert_non_null(strstr(notice, "an earlier version"));
    }
    json_object_set_new(record.json, "numerics", json_pack("[i, i]", NUMERICS, NUMERICS + 1));
    run_record_tell_numerics(notice, sizeof notice, &record);
    assert_non_null(strstr(notice, "a later version"));
    json_decref(record.json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_of_one_version_has_nothing_to_tell),
        cmocka_unit_test(another_arithmetic_is_said_and_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
