// origin.h: the name that a file of a run has, and which paths it fits.
#include "io/file/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void the_name_is_the_path_in_the_run(void **state)
{
    static const struct {
        const char *run, *path, *name;
    } cases[] = {
        {"/a/run", "/a/run/masks/v/layer-000.h5", "masks/v/layer-000.h5"},
        {"/a/run/", "/a/run//masks/v/layer-000.h5", "masks/v/layer-000.h5"},
        {"run", "run/sequences.h5", "sequences.h5"},
        {"/a/run~7", "/a/run~7/masks/v~12/layer-000.h5", "masks/v/layer-000.h5"},
        {"run", "run/masks/v~/~3/v~x4", "masks/v~/~3/v~x4"},
        {"/", "/sequences.h5", "sequences.h5"},
        {"/a/run", "/a/running/sequences.h5", ""},
        {"/a/run", "/b/sequences.h5", ""},
        {NULL, "/a/run/sequences.h5", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[ORIGIN_NAME_SIZE];
        origin_name(name, (struct file_origin){1, cases[i].run}, cases[i].path);
        assert_string_equal(name, cases[i].name);
    }
}

static void what_does_not_fit_has_no_name(void **state)
{
    char path[2 * ORIGIN_NAME_SIZE], name[ORIGIN_NAME_SIZE];
    (void)state;
    for (size_t length = ORIGIN_NAME_SIZE - 2; length <= ORIGIN_NAME_SIZE + 1; length++) {
        memcpy(path, "run/", 4);
        memset(path + 4, 'x', length);
        path[4 + length] = '\0';
        origin_name(name, (struct file_origin){1, "run"}, path);
        assert_int_equal(strlen(name), length < ORIGIN_NAME_SIZE ? length : 0);
    }
}

static void only_its_own_place_fits(void **state)
{
    static const struct {
        const char *path, *name;
        bool fits;
    } cases[] = {
        {"/a/run/masks/v/layer-000.h5", "masks/v/layer-000.h5", true},
        {"masks/v/layer-000.h5", "masks/v/layer-000.h5", true},
        {"/a//masks//v//layer-000.h5", "masks/v/layer-000.h5", true},
        {"/a/anything", "", true},
        {"/a/run/masks/v/layer-001.h5", "masks/v/layer-000.h5", false},
        {"/a/run/masks/w/layer-000.h5", "masks/v/layer-000.h5", false},
        {"/a/run/weights/v/layer-000.h5", "masks/v/layer-000.h5", false},
        {"/a/xmasks/v/layer-000.h5", "masks/v/layer-000.h5", false},
        {"v/layer-000.h5", "masks/v/layer-000.h5", false},
        {"/layer-000.h5", "masks/v/layer-000.h5", false},
        {"/a/run/masks/v~3/layer-000.h5", "masks/v/layer-000.h5", true}, // an attempt
        {"/a/run/masks/v~3/layer-000.h5", "masks/w/layer-000.h5", false},
        {"/a/run/masks/v~/layer-000.h5", "masks/v/layer-000.h5", false},
        {"/a/run/masks/v~3x/layer-000.h5", "masks/v/layer-000.h5", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        assert_int_equal(origin_check(cases[i].path, cases[i].name, &err),
                         cases[i].fits ? STATUS_OK : STATUS_USAGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_name_is_the_path_in_the_run),
        cmocka_unit_test(what_does_not_fit_has_no_name),
        cmocka_unit_test(only_its_own_place_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
