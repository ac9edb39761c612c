// fence.h: a program whose lock another one took gives no file its name any more.
#include "io/file/commit.h"
#include "io/file/fence.h"
#include "io/file/process_identity.h"
#include "io/file/run/run_directory.h"
#include "io/file/run/run_lock.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct run_lock *lock;
static struct fence_lock ours;

// The test's folder is a run directory that this program holds.
static int set_up(void **state)
{
    struct error err = {0};
    bool stole;
    *state = temporary_folder_create();
    assert_ok(run_lock_acquire(&lock, *state, &stole, &err), err);
    run_lock_fence(&ours, lock);
    assert_ok(fence_set(&ours, 1, &err), err);
    return 0;
}

static int tear_down(void **state)
{
    fence_clear();
    run_lock_release(lock);
    temporary_folder_remove(*state);
    return 0;
}

static void another_takes_over(const char *run)
{
    struct process_identity other;
    struct error err = {0};
    char text[2048];
    size_t removed;

    process_identity_self(&other);
    other.pid = 77;
    snprintf(other.host, sizeof other.host, "elsewhere");
    const size_t size = process_identity_format(text, sizeof text, &other);
    write_file(run, "new", text, size);
    char *from = strdup(path_in(run, "new"));
    assert_int_equal(rename(from, path_in(run, "lock")), 0);
    free(from);
    assert_ok(run_clean_temporaries(run, &removed, &err), err);
}

static bool is_there(const char *folder, const char *name)
{
    return access(path_in(folder, name), F_OK) == 0;
}

static void the_holder_commits(void **state)
{
    struct error err = {0};
    assert_ok(fence_check(&err), err);
    assert_ok(commit_bytes(path_in(*state, "file"), "bytes", 5, &err), err);
    assert_true(is_there(*state, "file"));
    assert_false(fence_is_lost());
}

static void temporary_names_have_the_token(void **state)
{
    struct error err = {0};
    char token[17], expected[64], path[4096];

    fence_token(token);
    snprintf(expected, sizeof expected, "%016llx", (unsigned long long)ours.hash);
    assert_string_equal(token, expected);
    assert_ok(temporary_path(path, sizeof path, path_in(*state, "file"), &err), err);
    snprintf(expected, sizeof expected, "/.file.tmp-%s-%ld", token, (long)getpid());
    assert_string_equal(strrchr(path, '/'), expected);
    assert_true(commit_is_temporary(strrchr(path, '/') + 1));
    // Later calls keep it: files of one start have one token.
    const struct fence_lock two[2] = {{.path = "/nowhere/lock", .hash = 1}, ours};
    assert_ok(fence_set(two, 2, &err), err);
    fence_token(path);
    assert_string_equal(path, token);
    fence_clear();
    fence_token(token);
    assert_string_equal(token, "");
    assert_ok(fence_check(&err), err);
}

static void what_was_begun_before_the_lock_was_lost_is_not_committed(void **state)
{
    struct commit_file file;
    struct error err = {0};

    assert_ok(commit_begin(&file, path_in(*state, "file"), &err), err);
    assert_ok(commit_write_at(&file, "bytes", 5, 0, &err), err);
    another_takes_over(*state);
    assert_int_equal(commit_end(&file, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "/lock: process 77 on elsewhere took the lock over");
    assert_int_equal(count_entries(*state), 1); // the other's lock
    assert_true(fence_is_lost());
}

static void nor_is_what_is_begun_afterwards(void **state)
{
    struct error err = {0};

    another_takes_over(*state);
    assert_int_equal(commit_bytes(path_in(*state, "file"), "bytes", 5, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "took the lock over");
    assert_int_equal(count_entries(*state), 1);
}

// The moment that no look can cover: it was found well, and then the lock was lost. The temporary file is
// gone.
static void nor_between_the_look_and_the_name(void **state)
{
    struct error err = {0};
    char temporary[4096];

    assert_ok(temporary_path(temporary, sizeof temporary, path_in(*state, "file"), &err), err);
    write_text(*state, strrchr(temporary, '/') + 1, "bytes");
    assert_ok(fence_check(&err), err);
    another_takes_over(*state);
    assert_int_not_equal(rename(temporary, path_in(*state, "file")), 0);
}

static void a_lock_that_is_gone_is_lost(void **state)
{
    struct error err = {0};

    assert_int_equal(unlink(path_in(*state, "lock")), 0);
    assert_int_equal(commit_bytes(path_in(*state, "file"), "bytes", 5, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "/lock: the lock is gone");
    assert_true(fence_is_lost());
    assert_int_equal(count_entries(*state), 0);
}

static void every_lock_counts(void **state)
{
    struct error err = {0};
    struct fence_lock two[2] = {ours, ours};

    snprintf(two[1].path, sizeof two[1].path, "%s", path_in(*state, "second"));
    assert_ok(fence_set(two, 2, &err), err);
    assert_int_equal(fence_check(&err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "/second: ");
}

// A look that the system refuses is an error, and no lost lock.
static void a_lock_that_cannot_be_read_is_not_lost(void **state)
{
    struct error err = {0};
    struct fence_lock folder = ours;

    snprintf(folder.path, sizeof folder.path, "%s", (const char *)*state);
    assert_ok(fence_set(&folder, 1, &err), err);
    assert_int_equal(fence_check(&err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "not a regular file");
    assert_false(fence_is_lost());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_holder_commits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(temporary_names_have_the_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_begun_before_the_lock_was_lost_is_not_committed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nor_is_what_is_begun_afterwards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nor_between_the_look_and_the_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lock_that_is_gone_is_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_lock_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lock_that_cannot_be_read_is_not_lost, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
