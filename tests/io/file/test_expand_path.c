// Home folders and variables in paths.
#include "io/file/expand_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *value(const void *context, const char *name)
{
    (void)context;
    return strcmp(name, "HOME") == 0      ? "/home/me"
           : strcmp(name, "SCRATCH") == 0 ? "/scratch"
           : strcmp(name, "RUN_2") == 0   ? "two"
           : strcmp(name, "NOTHING") == 0 ? ""
           : strcmp(name, "QUOTE") == 0   ? "$HOME/~"
                                          : NULL;
}
static const struct path_variables variables = {value, NULL};

static void home_and_variables_are_replaced(void **state)
{
    static const struct {
        const char *path, *expanded;
    } cases[] = {
        {"/a/b", "/a/b"},
        {"", ""},
        {"~", "/home/me"},
        {"~/m", "/home/me/m"},
        {"~me/m", "~me/m"},
        {"/a/~/b~", "/a/~/b~"},
        {"$SCRATCH/r", "/scratch/r"},
        {"${SCRATCH}r/$RUN_2", "/scratchr/two"},
        {"$SCRATCH$RUN_2", "/scratchtwo"},
        {"a$NOTHING.b", "a.b"},
        {"$QUOTE", "$HOME/~"}, // values are not looked into
        {"cost$", "cost$"},
        {"$/a", "$/a"},
        {"$5", "$5"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[PATH_SIZE];
        struct path_fault fault;
        expand_path(out, &fault, cases[i].path, &variables);
        assert_int_equal(fault.kind, PATH_IS_GOOD);
        assert_string_equal(out, cases[i].expanded);
        expand_path(out, NULL, cases[i].path, &variables);
        assert_string_equal(out, cases[i].expanded);
    }
}

// As os.path.expandvars of Python 3.11 has it: expandvars(path) == python.
static void what_is_no_variable_is_a_fault_or_stays_as_it_is(void **state)
{
    static const struct {
        const char *path, *python, *expanded; // NULL: a fault
        int kind;
        const char *name;
    } cases[] = {
        {"$UNKNOWN/$OTHER", "$UNKNOWN/$OTHER", NULL, PATH_UNSET, "UNKNOWN"},
        {"${SCRATCH}/${Unknown}", "/scratch/${Unknown}", NULL, PATH_UNSET, "Unknown"},
        {"${Unknown}/${SCRATCH", "${Unknown}/${SCRATCH", NULL, PATH_UNSET, "Unknown"}, // the first one
        {"${SCRATCH", "${SCRATCH", NULL, PATH_BRACE, ""},
        {"/r/${SCRATCH/a", "/r/${SCRATCH/a", NULL, PATH_BRACE, ""},
        {"${}", "${}", NULL, PATH_BRACE, ""},
        {"${", "${", NULL, PATH_BRACE, ""},
        {"${SCRATCH:-/tmp}/r", "${SCRATCH:-/tmp}/r", NULL, PATH_BRACE, ""},
        {"$$SCRATCH", "$/scratch", "$SCRATCH", PATH_IS_GOOD, ""},
        {"$${SCRATCH", "$${SCRATCH", "${SCRATCH", PATH_IS_GOOD, ""},
        {"a$$", "a$$", "a$", PATH_IS_GOOD, ""},
        {"$$$SCRATCH", "$$/scratch", "$/scratch", PATH_IS_GOOD, ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[PATH_SIZE];
        struct path_fault fault;
        expand_path(out, &fault, cases[i].path, &variables);
        assert_int_equal(fault.kind, cases[i].kind);
        assert_string_equal(fault.name, cases[i].name);
        if (cases[i].expanded != NULL)
            assert_string_equal(out, cases[i].expanded);
        expand_path(out, NULL, cases[i].path, &variables);
        assert_string_equal(out, cases[i].python);
    }
}

static void a_path_that_does_not_fit_is_no_path(void **state)
{
    char path[PATH_SIZE + 100], out[PATH_SIZE];
    (void)state;
    memset(path, 'x', sizeof path);
    path[0] = '~';
    path[1] = '/';
    for (size_t length = PATH_SIZE - 20; length < PATH_SIZE + 20; length++) {
        path[length] = '\0';
        expand_path(out, NULL, path, &variables);
        const size_t expected = length + strlen("/home/me") - 1;
        assert_int_equal(strlen(out), expected < PATH_SIZE ? expected : 0);
        path[length] = 'x';
    }
}

static void the_environment_is_the_process_s_own(void **state)
{
    char out[PATH_SIZE];
    (void)state;
    setenv("COPPICE_TEST_FOLDER", "/f", 1);
    setenv("HOME", "/h", 1);
    expand_path(out, NULL, "~/$COPPICE_TEST_FOLDER", &environment_variables);
    assert_string_equal(out, "/h//f");
    unsetenv("HOME"); // then the user's, which is somewhere
    expand_path(out, NULL, "~/a", &environment_variables);
    assert_int_equal(out[0], '/');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(home_and_variables_are_replaced),
        cmocka_unit_test(what_is_no_variable_is_a_fault_or_stays_as_it_is),
        cmocka_unit_test(a_path_that_does_not_fit_is_no_path),
        cmocka_unit_test(the_environment_is_the_process_s_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
