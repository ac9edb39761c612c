// Exit codes.
#include "pipeline/cli/exit_code.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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
        cmocka_unit_test(exit_codes_are_those_of_the_manual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
