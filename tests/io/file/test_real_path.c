// real_path.h: where paths lead, through links, "..", and parts that are not there.
#include "io/file/real_path.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

// The folder "real" and the link "link" to it.
static int set_up(void **state)
{
    char *folder = temporary_folder_create();
    *state = folder;
    return mkdir(path_in(folder, "real"), 0777) != 0 || symlink("real", path_in(folder, "link")) != 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

static void assert_leads(const char *folder, const char *path, const char *expected)
{
    char found[PATH_SIZE], base[PATH_SIZE], wanted[2 * PATH_SIZE];
    struct error err = {0};

    assert_ok(real_path(base, folder, &err), err);
    assert_ok(real_path(found, path_in(folder, path), &err), err);
    snprintf(wanted, sizeof wanted, "%s%s", base, expected);
    assert_string_equal(found, wanted);
}

static void paths_lead_through_links_and_missing_parts(void **state)
{
    assert_leads(*state, "real", "/real");
    assert_leads(*state, "link/", "/real");
    assert_leads(*state, "link/./a//b/", "/real/a/b");
    assert_leads(*state, "link/../c", "/c");
    assert_leads(*state, "missing/../link", "/link"); // the missing part is not looked into
    assert_leads(*state, "a/b/../../", "");
}

static void relative_paths_start_here(void **state)
{
    char here[PATH_SIZE], found[PATH_SIZE], wanted[2 * PATH_SIZE];
    struct error err = {0};
    (void)state;

    assert_ok(real_path(here, ".", &err), err);
    assert_true(here[0] == '/');
    assert_ok(real_path(found, "not-there/x", &err), err);
    snprintf(wanted, sizeof wanted, "%s/not-there/x", here);
    assert_string_equal(found, wanted);
    assert_ok(real_path(found, "/not-there/../../x", &err), err);
    assert_string_equal(found, "/x");
}

static void long_and_looping_paths_are_refused(void **state)
{
    char out[PATH_SIZE], path[PATH_SIZE + 1];
    struct error err = {0};

    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    assert_int_equal(real_path(out, path, &err), STATUS_USAGE);
    assert_int_equal(real_path(out, "", &err), STATUS_USAGE);
    assert_int_equal(symlink("loop", path_in(*state, "loop")), 0);
    assert_int_equal(real_path(out, path_in(*state, "loop"), &err), STATUS_USAGE);
}

static void a_name_that_only_begins_alike_is_not_within(void **state)
{
    (void)state;
    assert_true(path_is_within("/a/b", "/a"));
    assert_true(path_is_within("/a", "/a"));
    assert_true(path_is_within("/a", "/"));
    assert_false(path_is_within("/ab", "/a"));
    assert_false(path_is_within("/a", "/a/b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(paths_lead_through_links_and_missing_parts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(relative_paths_start_here, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_and_looping_paths_are_refused, set_up, tear_down),
        cmocka_unit_test(a_name_that_only_begins_alike_is_not_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
