// partial.h: the hidden folder of an export is one program's, and what an earlier one left is gone on with.
#include "io/file/fence.h"
#include "stages/export/partial.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char output[4096];

static int set_up(void **state)
{
    *state = temporary_folder_create();
    snprintf(output, sizeof output, "%s/model", (const char *)*state);
    return 0;
}

static int tear_down(void **state)
{
    fence_clear();
    temporary_folder_remove(*state);
    return 0;
}

static bool is_there(const char *folder, const char *name)
{
    return access(path_in(folder, name), F_OK) == 0;
}

// This program holds a lock; the folder has a file by that name and contents.
static void hold(const char *folder, uint64_t hash)
{
    struct error err = {0};
    struct fence_lock lock = {.hash = hash};
    write_text(folder, "lock", "");
    snprintf(lock.path, sizeof lock.path, "%s", path_in(folder, "lock"));
    assert_ok(fence_set(&lock, 1, &err), err);
}
static const uint64_t hash_of_nothing = 0x2d06800538d394c2; // XXH3-64

static void leave(const char *folder, const char *name)
{
    char file[256];
    assert_int_equal(mkdir(path_in(folder, name), 0777), 0);
    snprintf(file, sizeof file, "%s/shard", name);
    write_text(folder, file, "a shard");
    snprintf(file, sizeof file, "%s/.shard-2.tmp-host-1", name);
    write_text(folder, file, "half a shard");
}

static void it_takes_over_what_is_there(void **state)
{
    static const char *const names[] = {".model.partial-id", ".model.partial-id-0123456789abcdef"};
    static const char mine[] = ".model.partial-id-2d06800538d394c2";
    struct error err = {0};
    char path[4200], found[4200];

    hold(*state, hash_of_nothing);
    partial_path(path, sizeof path, output, "id");
    assert_string_equal(path, path_in(*state, mine));
    partial_find(found, sizeof found, output, "id");
    assert_string_equal(found, "");
    for (size_t i = 0; i < 2; i++) {
        leave(*state, names[i]);
        partial_find(found, sizeof found, output, "id");
        assert_string_equal(found, path_in(*state, names[i]));
        assert_ok(partial_begin(output, "id", &err), err);
        assert_false(is_there(*state, names[i]));
        assert_int_equal(count_entries(path), 1);
        char *shard = strdup(path_in(path, "shard"));
        assert_int_equal(access(shard, F_OK), 0);
        free(shard);
        partial_remove(path);
        assert_false(is_there(*state, mine));
    }
}

static void anothers_is_left_alone(void **state)
{
    struct error err = {0};
    char path[4200];

    leave(*state, ".model.partial-identity");
    leave(*state, ".models.partial-id");
    assert_ok(partial_begin(output, "id", &err), err);
    assert_true(is_there(*state, ".model.partial-identity"));
    assert_true(is_there(*state, ".models.partial-id"));
    partial_path(path, sizeof path, output, "id");
    assert_string_equal(path, path_in(*state, ".model.partial-id"));
    assert_int_equal(count_entries(path), 0);
    assert_ok(partial_publish(path, output, &err), err);
    assert_int_equal(access(output, F_OK), 0);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void without_its_lock_it_publishes_nothing(void **state)
{
    struct error err = {0};
    char path[4200];

    hold(*state, hash_of_nothing);
    assert_ok(partial_begin(output, "id", &err), err);
    partial_path(path, sizeof path, output, "id");
    write_text(*state, "lock", "another's");
    assert_int_equal(partial_publish(path, output, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "took the lock over");
    assert_int_not_equal(access(output, F_OK), 0);
    assert_int_equal(partial_begin(output, "id", &err), STATUS_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_takes_over_what_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(anothers_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_its_lock_it_publishes_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
