// run_directory.h: the temporary files of killed programs.
#include "io/file/commit.h"
#include "io/file/run/run_directory.h"
#include "io/file/run/run_lock.h"
#include "io/file/run_paths.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **state)
{
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

static void test_only_temporary_files_are_removed(void **state)
{
    struct error err = {0};
    struct run_lock *lock;
    char *outside = temporary_folder_create();
    bool stole;
    size_t removed;

    assert_ok(run_lock_acquire(&lock, *state, &stole, &err), err);
    assert_ok(make_directories(path_in(*state, "statistics/dense"), &err), err);
    assert_ok(make_directories(path_in(*state, ".folder.tmp-host-1"), &err), err);
    write_text(*state, "run.json", "{}");
    write_text(*state, ".run.json.tmp-node7-123", "{");
    write_text(*state, "statistics/dense/layer-000.h5", "x");
    write_text(*state, "statistics/dense/.layer-001.h5.tmp-node7-123", "x");
    write_text(*state, "statistics/.notes", "x");
    write_text(*state, ".folder.tmp-host-1/.x.tmp-host-1", "x");
    write_text(outside, ".x.tmp-host-1", "x");
    assert_int_equal(symlink(outside, path_in(*state, "elsewhere")), 0);
    assert_int_equal(symlink("run.json", path_in(*state, ".link.tmp-host-1")), 0);

    assert_ok(run_clean_temporaries(*state, &removed, &err), err);
    assert_int_equal(removed, 3);
    assert_int_equal(count_entries(*state), 6); // lock, statistics, .folder…, run.json, elsewhere, .link…
    assert_int_equal(count_entries(path_in(*state, "statistics")), 2);
    assert_int_equal(count_entries(path_in(*state, "statistics/dense")), 1);
    assert_int_equal(count_entries(outside), 1);
    assert_true(run_lock_is_held(lock));
    assert_ok(run_clean_temporaries(*state, &removed, &err), err);
    assert_int_equal(removed, 0);
    run_lock_release(lock);

    assert_int_equal(run_clean_temporaries(path_in(*state, "absent"), &removed, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "/absent: opening the folder failed");
    temporary_folder_remove(outside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_temporary_files_are_removed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
