// wrap: realloc
// warnings.h: no line is lost in silence.
#include "pipeline/plan/warnings/warnings.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static bool no_room;

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    return no_room ? NULL : __real_realloc(old, size);
}

static void as_many_as_there_are(void **state)
{
    struct warnings warnings = {0};
    struct error err = {0};
    (void)state;

    for (size_t i = 0; i < 100; i++)
        warnings_add(&warnings, "line %zu", i);
    assert_int_equal(warnings.count, 100);
    assert_string_equal(warnings.lines[0], "line 0");
    assert_string_equal(warnings.lines[99], "line 99");
    assert_ok(warnings_check(&warnings, &err), err);
    warnings_free(&warnings);
    assert_int_equal(warnings.count, 0);
}

static void one_that_is_lost_is_an_error(void **state)
{
    struct warnings warnings = {0};
    struct error err = {0};
    (void)state;

    no_room = true;
    warnings_add(&warnings, "a line");
    no_room = false;
    warnings_add(&warnings, "another");
    assert_int_equal(warnings.count, 1);
    assert_int_equal(warnings_check(&warnings, &err), STATUS_MEMORY);
    assert_error(err, STATUS_MEMORY, "out of memory for warnings");
    warnings_free(&warnings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_there_are),
        cmocka_unit_test(one_that_is_lost_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
