// wrap: open pwrite fsync rename close
// commit.h: after any failure at any step the final name holds what it held before, and no temporary is left.
#include "io/file/commit.h"
#include "tests/support/temporary_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

// ---- system calls that fail on demand -----------------------------------------------------------

// Instead of an errno: a rename that says that it was done, and was not; the file is as it was, or gone.
enum { RENAME_IS_LOST = -1, RENAME_IS_LOST_WITH_FILE = -2 };

enum call { OPEN, PWRITE, FSYNC, RENAME, CLOSE, CALLS };
static const char *const call_names[] = {"open", "pwrite", "fsync", "rename", "close"};

static struct {
    bool active;
    enum call call;
    int after;  // this many calls go well
    int error;  // 0: pwrite writes one byte only
    int times;  // this many calls fail then
    int failed; // how many did
} plan;

static bool fails(enum call call)
{
    if (!plan.active || call != plan.call)
        return false;
    if (plan.after > 0) {
        plan.after--;
        return false;
    }
    if (plan.failed == plan.times)
        return false;
    plan.failed++;
    errno = plan.error;
    return true;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return fails(OPEN) ? -1 : __real_open(path, flags, mode);
}

ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    if (!fails(PWRITE))
        return __real_pwrite(fd, bytes, size, offset);
    return plan.error != 0 ? -1 : __real_pwrite(fd, bytes, size > 0, offset);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
    return fails(FSYNC) ? -1 : __real_fsync(fd);
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    if (!fails(RENAME))
        return __real_rename(from, to);
    if (plan.error == RENAME_IS_LOST_WITH_FILE)
        unlink(from);
    return plan.error < 0 ? 0 : -1;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    if (!plan.active)
        return __real_close(fd);
    const bool failing = fails(CLOSE);
    const int error = errno;
    __real_close(fd); // as Linux does: the descriptor is gone either way
    errno = error;
    return failing ? -1 : 0;
}

static void plan_failure(enum call call, int after, int error, int times)
{
    plan.active = true;
    plan.call = call;
    plan.after = after;
    plan.error = error;
    plan.times = times;
    plan.failed = 0;
}

static void assert_contents(const char *path, const char *expected, size_t size)
{
    struct error err = {0};
    char *bytes;
    size_t got;

    assert_ok(read_file(&bytes, &got, path, &err), err);
    assert_int_equal(got, size);
    assert_memory_equal(bytes, expected, size);
    assert_int_equal(bytes[size], '\0');
    free(bytes);
}

static int set_up(void **state)
{
    plan.active = false;
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    plan.active = false;
    temporary_folder_remove(*state);
    return 0;
}

// ---- names --------------------------------------------------------------------------------------

static void test_temporary_name_is_in_the_folder_of_the_file_and_recognised(void **state)
{
    (void)state;
    const char *const finals[] = {"/a/b/layer-000.h5", "run.json", "./x", "/a/.hidden", "/a/odd.tmp-name"};
    struct error err = {0};
    char host[HOST_NAME_MAX + 1], out[PATH_MAX], expected[PATH_MAX];

    gethostname(host, sizeof host);
    for (size_t i = 0; i < sizeof finals / sizeof finals[0]; i++) {
        const char *slash = strrchr(finals[i], '/');
        const char *name = slash != NULL ? slash + 1 : finals[i];
        assert_ok(temporary_path(out, sizeof out, finals[i], &err), err);
        snprintf(expected, sizeof expected, "%.*s.%s.tmp-%s-%ld", (int)(name - finals[i]), finals[i], name,
                 host, (long)getpid());
        assert_string_equal(out, expected);
        assert_true(commit_is_temporary(out + (name - finals[i])));
        assert_false(commit_is_temporary(name));
    }
}

static void test_other_names_are_not_temporary(void **state)
{
    (void)state;
    const char *const names[] = {"",
                                 ".",
                                 "..",
                                 "run.json",
                                 ".x.tmp-",
                                 ".x.tmp-host",
                                 ".x.tmp-host-",
                                 ".x.tmp--1",
                                 ".x.tmp-host-12a",
                                 "x.tmp-host-1",
                                 "xy.tmp-host-1",
                                 ".tmp-host-1",
                                 "lock"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (commit_is_temporary(names[i]))
            fail_msg("'%s' was taken for a temporary file", names[i]);
    }
    assert_true(commit_is_temporary(".x.tmp-node-7.cluster-123"));
}

static void test_names_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct error err = {0};
    char name[NAME_MAX + 1], out[PATH_MAX];

    memset(name, 'n', sizeof name);
    name[NAME_MAX] = '\0';
    assert_int_equal(temporary_path(out, sizeof out, name, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "too long");
    assert_int_equal(temporary_path(out, 10, "/folder/file", &err), STATUS_FAILED);
    assert_int_equal(temporary_path(out, sizeof out, "/folder/", &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "file name is missing");
}

// ---- writing ------------------------------------------------------------------------------------

static void test_bytes_are_written_and_nothing_else_is_left(void **state)
{
    struct error err = {0};
    const char *path = path_in(*state, "file");

    assert_ok(commit_bytes(path, "first", 5, &err), err);
    assert_contents(path, "first", 5);
    assert_ok(commit_bytes(path, "second!", 7, &err), err);
    assert_contents(path, "second!", 7);
    assert_ok(commit_bytes(path, "", 0, &err), err);
    assert_contents(path, "", 0);
    assert_int_equal(count_entries(*state), 1);
}

static void test_a_relative_name_is_written(void **state)
{
    struct error err = {0};
    char before[PATH_MAX];

    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(*state), 0);
    const enum status status = commit_bytes("plain", "x", 1, &err);
    assert_int_equal(chdir(before), 0);
    assert_ok(status, err);
    assert_contents(path_in(*state, "plain"), "x", 1);
}

static void test_pieces_land_at_their_offsets(void **state)
{
    struct error err = {0};
    struct commit_file file;
    const char *path = path_in(*state, "pieces");

    assert_ok(commit_begin(&file, path, &err), err);
    assert_ok(commit_write_at(&file, "world", 5, 6, &err), err);
    assert_ok(commit_write_at(&file, "hello ", 6, 0, &err), err);
    assert_int_equal(access(path, F_OK), -1); // not before the commit
    assert_ok(commit_end(&file, &err), err);
    commit_abandon(&file); // harmless
    assert_contents(path, "hello world", 11);
}

static void test_abandoned_file_leaves_nothing(void **state)
{
    struct error err = {0};
    struct commit_file file;

    assert_ok(commit_begin(&file, path_in(*state, "never"), &err), err);
    assert_ok(commit_write_at(&file, "x", 1, 0, &err), err);
    commit_abandon(&file);
    commit_abandon(&file);
    assert_int_equal(count_entries(*state), 0);
}

static void test_short_and_interrupted_writes_go_on(void **state)
{
    struct error err = {0};
    const char *path = path_in(*state, "file");
    const struct {
        enum call call;
        int error;
    } hiccups[] = {{PWRITE, 0}, {PWRITE, EINTR}, {FSYNC, EINTR}, {OPEN, EINTR}, {CLOSE, EINTR}};

    for (size_t i = 0; i < sizeof hiccups / sizeof hiccups[0]; i++) {
        plan_failure(hiccups[i].call, 0, hiccups[i].error, hiccups[i].call == CLOSE ? 1 : 3);
        assert_ok(commit_bytes(path, "0123456789", 10, &err), err);
        assert_int_equal(plan.failed, plan.times);
        plan.active = false;
        assert_contents(path, "0123456789", 10);
        assert_int_equal(count_entries(*state), 1);
    }
}

static void test_every_failing_step_keeps_the_old_file(void **state)
{
    const int errors[] = {ENOSPC, EIO, EDQUOT};
    const char *path = path_in(*state, "file");
    struct error err = {0};

    assert_ok(commit_bytes(path, "old", 3, &err), err);
    for (enum call call = OPEN; call < CALLS; call++) {
        for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
            err = (struct error){0};
            plan_failure(call, 0, errors[i], 1);
            const enum status status = commit_bytes(path, "new", 3, &err);
            const int failed = plan.failed;
            plan.active = false;
            if (status == STATUS_OK || failed != 1)
                fail_msg("%s with %s was not noticed", call_names[call], strerror(errors[i]));
            assert_error(err, STATUS_FAILED, path);
            assert_error(err, STATUS_FAILED, strerror(errors[i]));
            assert_contents(path, "old", 3);
            assert_int_equal(count_entries(*state), 1);
        }
    }
}

static void test_a_rename_that_was_not_kept_is_an_error(void **state)
{
    static const int lies[] = {RENAME_IS_LOST, RENAME_IS_LOST_WITH_FILE};
    const char *path = path_in(*state, "file");

    for (size_t is_there = 0; is_there < 2; is_there++)
        for (size_t i = 0; i < 2; i++) {
            struct error err = {0};
            if (is_there == 1 && lies[i] == RENAME_IS_LOST_WITH_FILE)
                continue; // looks like one that was kept
            if (is_there == 1)
                assert_ok(commit_bytes(path, "first", 5, &err), err);
            plan_failure(RENAME, 0, lies[i], 1);
            assert_int_equal(commit_bytes(path, "second", 6, &err), STATUS_FAILED);
            plan.active = false;
            assert_error(err, STATUS_FAILED, "/file: is not there after it was given its name");
            assert_int_equal(count_entries(*state), is_there);
        }
    assert_contents(path, "first", 5);
}

static void test_a_folder_that_cannot_be_synced_is_an_error(void **state)
{
    struct error err = {0};
    const char *path = path_in(*state, "file");

    plan_failure(FSYNC, 1, EIO, 1); // the file's fsync goes well
    assert_int_equal(commit_bytes(path, "new", 3, &err), STATUS_FAILED);
    plan.active = false;
    assert_error(err, STATUS_FAILED, "folder");
    assert_contents(path, "new", 3); // whole under its name all the same
    assert_int_equal(count_entries(*state), 1);

    plan_failure(FSYNC, 1, EINVAL, 1); // a file system that cannot sync folders
    assert_ok(commit_bytes(path, "next", 4, &err), err);
    plan.active = false;
}

static void test_a_write_that_makes_no_progress_ends(void **state)
{
    struct error err = {0};
    struct commit_file file;

    assert_ok(commit_begin(&file, path_in(*state, "file"), &err), err);
    assert_int_equal(commit_write_at(&file, "x", 1, UINT64_MAX, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, strerror(EFBIG));
    assert_int_equal(commit_write_at(&file, "x", 1, 0, &err), STATUS_FAILED); // closed by the failure
    assert_int_equal(commit_end(&file, &err), STATUS_FAILED);
    assert_int_equal(count_entries(*state), 0);
}

static void test_a_folder_under_the_final_name_is_refused(void **state)
{
    struct error err = {0};
    const char *path = path_in(*state, "folder");

    assert_int_equal(mkdir(path, 0777), 0);
    assert_int_equal(commit_bytes(path, "x", 1, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, path);
    assert_int_equal(count_entries(*state), 1);
}

// ---- folders and reading ------------------------------------------------------------------------

static void test_folders_are_made_with_their_parents(void **state)
{
    struct error err = {0};
    struct stat info;
    const char *path = path_in(*state, "a//b/c/");

    assert_ok(make_directories(path, &err), err);
    assert_ok(make_directories(path, &err), err);
    assert_int_equal(stat(path, &info), 0);
    assert_true(S_ISDIR(info.st_mode));

    write_text(*state, "file", "x");
    assert_int_equal(make_directories(path_in(*state, "file/below"), &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "/file");
    assert_int_equal(make_directories("", &err), STATUS_FAILED);
}

static void test_reading_what_is_no_file_is_bad_input(void **state)
{
    struct error err = {0};
    char *bytes;

    assert_int_equal(read_file(&bytes, NULL, path_in(*state, "absent"), &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, strerror(ENOENT));
    assert_null(bytes);
    assert_int_equal(read_file(&bytes, NULL, *state, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "not a regular file");
    assert_int_equal(mkfifo(path_in(*state, "pipe"), 0600), 0);
    alarm(10); // to wait for a writer would be for ever
    assert_int_equal(read_file(&bytes, NULL, path_in(*state, "pipe"), &err), STATUS_INPUT);
    alarm(0);
    assert_error(err, STATUS_INPUT, "not a regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_temporary_name_is_in_the_folder_of_the_file_and_recognised),
        cmocka_unit_test(test_other_names_are_not_temporary),
        cmocka_unit_test(test_names_that_do_not_fit_are_refused),
        cmocka_unit_test_setup_teardown(test_bytes_are_written_and_nothing_else_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_relative_name_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_pieces_land_at_their_offsets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_abandoned_file_leaves_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_short_and_interrupted_writes_go_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_every_failing_step_keeps_the_old_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_rename_that_was_not_kept_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_that_cannot_be_synced_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_write_that_makes_no_progress_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_under_the_final_name_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folders_are_made_with_their_parents, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reading_what_is_no_file_is_bad_input, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
