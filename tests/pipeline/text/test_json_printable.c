// json_printable.h: names and texts of any depth are made fit to be shown, all else stays.
#include "pipeline/text/json_printable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void every_text_and_name_is_printable(void **state)
{
    json_t *json =
        json_loads("{\"a\\u001b[2J\": [\"x\\ny\", {\"\\u009b\": \"\\u202ez\"}], \"n\": 1.5, \"t\": true, "
                   "\"nul\": \"a\\u0000b\", \"caf\\u00e9\": null}",
                   JSON_ALLOW_NUL, NULL);
    json_t *wanted = json_loads("{\"a [2J\": [\"x y\", {\" \": \" z\"}], \"n\": 1.5, \"t\": true, "
                                "\"nul\": \"a b\", \"caf\\u00e9\": null}",
                                0, NULL);
    (void)state;

    assert_non_null(json);
    json_t *copy = json_printable(json);
    assert_true(json_equal(copy, wanted));
    json_decref(copy);
    json_decref(wanted);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_text_and_name_is_printable)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
