// wrap: rename link clock_gettime
// run_lock.h: the lock that one program holds, whatever happens to the others that want it.
#include "io/file/commit.h"
#include "io/file/process_identity.h"
#include "io/file/run/run_directory.h"
#include "io/file/run/run_lock.h"
#include "tests/support/temporary_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

// ---- system calls that do something else on demand ----------------------------------------------

static struct {
    bool die_at_rename;   // the process ends before it
    const char *overtake; // before the next claim on this run's lock another process takes it
    bool link_reply_lost; // done, but reported as already there: a repeated request over NFS
    int link_error;       // not 0: fails with it
    time_t later;         // seconds that the clocks are ahead
} change;

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    if (change.die_at_rename)
        _exit(0);
    return __real_rename(from, to);
}

// Children must not outlive a test that fails: each ends when the test's end of this pipe is closed.
static int lifeline[2];

static void live_as_long_as_the_test(void)
{
    char byte;
    close(lifeline[1]);
    while (read(lifeline[0], &byte, 1) < 0)
        ;
    _exit(1);
}

static void take_in_another_process(const char *run);

int __real_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to);
int __wrap_link(const char *from, const char *to)
{
    if (change.link_error != 0) {
        errno = change.link_error;
        return -1;
    }
    if (change.overtake != NULL && strstr(to, "tmp-claim-") != NULL) {
        const char *run = change.overtake;
        change.overtake = NULL;
        take_in_another_process(run);
    }
    const int result = __real_link(from, to);
    if (result == 0 && change.link_reply_lost) {
        errno = EEXIST;
        return -1;
    }
    return result;
}

int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    const int result = __real_clock_gettime(id, now);
    now->tv_sec += change.later;
    return result;
}

static int set_up(void **state)
{
    memset(&change, 0, sizeof change);
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

// ---- the lock -----------------------------------------------------------------------------------

// Writes RUN/lock as another process would, last touched `age` seconds ago.
static void write_lock(const char *run, const struct process_identity *identity, time_t age)
{
    char text[2048];
    struct timespec times[2];
    const size_t size = process_identity_format(text, sizeof text, identity);
    const char *path = write_file(run, "lock", text, size);

    clock_gettime(CLOCK_REALTIME, &times[0]);
    times[0].tv_sec -= age;
    times[1] = times[0];
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void assert_held(const char *run, const char *part)
{
    struct error err = {0};
    struct run_lock *lock;
    bool stole;

    assert_int_equal(run_lock_acquire(&lock, run, &stole, &err), STATUS_FAILED);
    assert_null(lock);
    assert_error(err, STATUS_FAILED, run);
    assert_error(err, STATUS_FAILED, part);
    assert_int_equal(count_entries(run), 1); // the lock, and nothing of ours
}

static void assert_taken(const char *run, bool stolen)
{
    struct error err = {0};
    struct run_lock *lock;
    bool stole;

    assert_ok(run_lock_acquire(&lock, run, &stole, &err), err);
    assert_int_equal(stole, stolen);
    assert_true(run_lock_is_held(lock));
    assert_int_equal(count_entries(run), 1);
    run_lock_release(lock);
    assert_int_equal(count_entries(run), 0);
}

static void test_a_lock_tells_who_holds_it(void **state)
{
    struct error err = {0};
    struct run_lock *lock;
    bool stole = true;
    char *run = strdup(path_in(*state, "new/run")); // is made
    char *text, expected[100];

    setenv("SLURM_JOB_ID", "4711", 1);
    assert_ok(run_lock_acquire(&lock, run, &stole, &err), err);
    unsetenv("SLURM_JOB_ID");
    assert_false(stole);
    assert_ok(read_file(&text, NULL, path_in(run, "lock"), &err), err);
    snprintf(expected, sizeof expected, "\npid=%ld\n", (long)getpid());
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "\nslurm_job=4711\n"));
    assert_non_null(strstr(text, "host="));
    free(text);

    snprintf(expected, sizeof expected, "in use by process %ld on ", (long)getpid());
    assert_held(run, expected);
    assert_held(run, "Slurm job 4711");
    run_lock_release(lock);
    assert_taken(run, false);
    run_lock_release(NULL);
    free(run);
}

static void test_an_identity_survives_writing_and_reading(void **state)
{
    (void)state;
    struct process_identity self, read;
    char text[2048];

    process_identity_self(&self);
    assert_true(self.pid == getpid());
    assert_true(process_identity_is_alive(&self));
    const size_t size = process_identity_format(text, sizeof text, &self);
    assert_true(process_identity_parse(&read, text));
    assert_memory_equal(&read, &self, sizeof self);
    assert_true(process_identity_same_host(&read, &self));
    for (size_t prefix = 0; prefix < size; prefix++) { // a lock file that is still being written
        text[prefix] = '\0';
        assert_false(process_identity_parse(&read, text));
        process_identity_format(text, sizeof text, &self);
    }
}

// A child that does nothing until it is killed.
static pid_t start_child(struct process_identity *identity)
{
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct process_identity self;
        process_identity_self(&self);
        if (write(pipe_ends[1], &self, sizeof self) != (ssize_t)sizeof self)
            _exit(1);
        live_as_long_as_the_test();
    }
    assert_int_equal(read(pipe_ends[0], identity, sizeof *identity), sizeof *identity);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    assert_true(identity->pid == child);
    return child;
}

static void test_a_lock_of_a_dead_process_is_taken_over(void **state)
{
    struct process_identity other;
    siginfo_t info;
    const pid_t child = start_child(&other);

    write_lock(*state, &other, 3600); // a living process of this host needs no heartbeat
    assert_held(*state, "in use by process");
    kill(child, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0); // dead, not reaped: a zombie
    write_lock(*state, &other, 0);
    assert_taken(*state, true);
    assert_int_equal(waitpid(child, NULL, 0), child);
    write_lock(*state, &other, 0);
    assert_taken(*state, true);
}

static void test_a_reused_process_id_is_no_holder(void **state)
{
    struct process_identity other;

    process_identity_self(&other);
    if (other.start == 0) {
        print_message("skipped: no /proc to tell when a process started\n");
        skip();
    }
    other.start--;
    write_lock(*state, &other, 0);
    assert_taken(*state, true);
}

static void test_other_hosts_are_judged_by_their_heartbeat(void **state)
{
    struct process_identity other[3];

    for (size_t i = 0; i < 3; i++)
        process_identity_self(&other[i]);
    snprintf(other[0].host, sizeof other[0].host, "another-host");
    snprintf(other[1].boot, sizeof other[1].boot, "another-boot");
    snprintf(other[2].pid_namespace, sizeof other[2].pid_namespace, "another-container");
    for (size_t i = 0; i < 3; i++) {
        other[i].pid = 1;
        write_lock(*state, &other[i], 50);
        assert_held(*state, "if it is gone, try again in a minute");
        write_lock(*state, &other[i], -3600); // its clock is ahead
        assert_held(*state, "in use by process 1 on ");
        write_lock(*state, &other[i], 70);
        assert_taken(*state, true);
    }
}

static void test_an_incomplete_lock_file_is_stale_after_a_minute(void **state)
{
    const char *const contents[] = {"", "host=x\n", "garbage"};
    struct timespec times[2];

    for (size_t i = 0; i < sizeof contents / sizeof contents[0]; i++) {
        const char *path = write_text(*state, "lock", contents[i]);
        assert_held(*state, "incomplete lock file");
        clock_gettime(CLOCK_REALTIME, &times[0]);
        times[0].tv_sec -= 70;
        times[1] = times[0];
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        assert_taken(*state, true);
    }
}

static void test_a_lost_lock_is_known_and_not_removed(void **state)
{
    struct error err = {0};
    struct run_lock *lock;
    struct process_identity other;
    bool stole;

    assert_ok(run_lock_acquire(&lock, *state, &stole, &err), err);
    // Another host believed us dead and put its own file in place, as it does: by rename.
    process_identity_self(&other);
    snprintf(other.host, sizeof other.host, "another-host");
    char *path = strdup(path_in(*state, "lock")), text[2048];
    assert_int_equal(unlink(path), 0);
    const size_t size = process_identity_format(text, sizeof text, &other);
    write_file(*state, "lock", text, size);
    assert_false(run_lock_is_held(lock));
    run_lock_heartbeat(lock);
    run_lock_release(lock);
    assert_int_equal(access(path, F_OK), 0);
    free(path);
}

static void test_a_run_folder_that_cannot_be_made_is_an_error(void **state)
{
    struct error err = {0};
    struct run_lock *lock;
    bool stole;

    write_text(*state, "file", "x");
    assert_int_equal(run_lock_acquire(&lock, path_in(*state, "file/run"), &stole, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "/file");
    assert_null(lock);
}

// Many processes want one stale lock at once: one gets it. Winners keep it until all have tried.
static void race(const char *run, size_t takers, size_t expected_winners)
{
    int start[2], result[2];
    size_t winners = 0;
    pid_t children[16];

    assert_true(takers <= 16);
    assert_int_equal(pipe(start), 0);
    assert_int_equal(pipe(result), 0);
    for (size_t i = 0; i < takers; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            struct run_lock *lock;
            struct error err = {0};
            bool stole;
            char byte;
            close(start[1]);
            if (read(start[0], &byte, 1) != 0) // ends for all when the parent closes its end
                _exit(9);
            const enum status status = run_lock_acquire(&lock, run, &stole, &err);
            byte = status == STATUS_OK ? (char)(stole ? 'S' : 'N') : 'F';
            if (status != STATUS_OK && strstr(err.message, "in use by process") == NULL)
                byte = 'E';
            if (write(result[1], &byte, 1) != 1)
                _exit(9);
            live_as_long_as_the_test(); // holding what it holds
        }
    }
    close(start[0]);
    close(start[1]);
    for (size_t i = 0; i < takers; i++) {
        char byte;
        assert_int_equal(read(result[0], &byte, 1), 1);
        if (byte == 'E')
            fail_msg("a taker failed for another reason than a held lock");
        winners += byte != 'F';
    }
    for (size_t i = 0; i < takers; i++) {
        kill(children[i], SIGKILL);
        waitpid(children[i], NULL, 0);
    }
    close(result[0]);
    close(result[1]);
    assert_int_equal(winners, expected_winners);
}

static void test_one_of_many_takers_wins(void **state)
{
    struct process_identity other;
    const pid_t child = start_child(&other);

    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    for (int round = 0; round < 40; round++) {
        // First a lock that is free, then one that its killed holder left: the last round's winner.
        race(*state, 8, 1);
        if (round % 4 == 0)
            write_lock(*state, &other, 0);
    }
}

// A child that claims the stale lock and dies before it puts its own file in place.
static void die_while_taking(const char *run)
{
    const pid_t taker = fork();
    assert_true(taker >= 0);
    if (taker == 0) {
        struct run_lock *lock;
        bool stole;
        change.die_at_rename = true;
        run_lock_acquire(&lock, run, &stole, NULL);
        _exit(1); // not reached: the lock was not stale
    }
    int exit_status;
    assert_int_equal(waitpid(taker, &exit_status, 0), taker);
    assert_true(WIFEXITED(exit_status) && WEXITSTATUS(exit_status) == 0);
}

static void test_takers_that_died_while_taking_do_not_block(void **state)
{
    struct process_identity other;
    struct run_lock *lock;
    struct error err = {0};
    size_t removed;
    bool stole;
    const pid_t child = start_child(&other);

    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    for (size_t dead = 1; dead <= 5; dead++) {
        write_lock(*state, &other, 0);
        for (size_t i = 0; i < dead; i++)
            die_while_taking(*state);
        assert_int_equal(count_entries(*state), 1 + 2 * dead); // each left its file and its claim
        assert_ok(run_lock_acquire(&lock, *state, &stole, &err), err);
        assert_true(stole);
        assert_ok(run_clean_temporaries(*state, &removed, &err), err);
        assert_int_equal(removed, dead); // their files; their claims are gone already
        assert_int_equal(count_entries(*state), 1);
        run_lock_release(lock);
    }
    write_lock(*state, &other, 0);
    for (size_t i = 0; i < 3; i++)
        die_while_taking(*state);
    race(*state, 8, 1);
}

static pid_t overtaker;

static void take_in_another_process(const char *run)
{
    int done[2];
    char byte;

    assert_int_equal(pipe(done), 0);
    overtaker = fork();
    assert_true(overtaker >= 0);
    if (overtaker == 0) {
        struct run_lock *lock;
        bool stole;
        byte = run_lock_acquire(&lock, run, &stole, NULL) == STATUS_OK && stole;
        if (write(done[1], &byte, 1) != 1)
            _exit(1);
        live_as_long_as_the_test();
    }
    assert_int_equal(read(done[0], &byte, 1), 1);
    assert_int_equal(byte, 1);
    close(done[0]);
    close(done[1]);
}

static void test_a_taker_that_is_overtaken_does_not_win_too(void **state)
{
    write_lock(*state, &(struct process_identity){.pid = 1, .host = "h", .user = "u", .since = "s"}, 3600);
    change.overtake = *state; // after we saw that the lock is stale, before we claim it
    assert_held(*state, "in use by process");
    assert_null(change.overtake);

    // The same again, and the one who overtook us is gone too when we look.
    kill(overtaker, SIGKILL);
    assert_int_equal(waitpid(overtaker, NULL, 0), overtaker);
    assert_taken(*state, true);
}

static void test_a_living_taker_counts_as_the_holder(void **state)
{
    struct process_identity dead, taker;
    struct error err = {0};
    struct run_lock *lock;
    char text[2048], claim[100] = "";
    bool stole;
    const pid_t child = start_child(&dead);
    const pid_t living = start_child(&taker);

    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    write_lock(*state, &dead, 0);
    die_while_taking(*state); // to learn the claim's name
    DIR *folder = opendir(*state);
    const struct dirent *entry;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        if (strncmp(entry->d_name, ".lock.tmp-claim-", 16) == 0)
            snprintf(claim, sizeof claim, "%.99s", entry->d_name);
        else if (strncmp(entry->d_name, ".lock-", 6) == 0)
            unlinkat(dirfd(folder), entry->d_name, 0);
    }
    closedir(folder);
    assert_true(commit_is_temporary(claim));
    assert_int_equal(unlink(path_in(*state, claim)), 0);
    write_file(*state, claim, text, process_identity_format(text, sizeof text, &taker));

    assert_int_equal(run_lock_acquire(&lock, *state, &stole, &err), STATUS_FAILED);
    snprintf(text, sizeof text, "in use by process %ld on ", (long)living);
    assert_error(err, STATUS_FAILED, text);
    kill(living, SIGKILL);
    waitpid(living, NULL, 0);
    assert_taken(*state, true);
}

static void test_a_link_whose_reply_was_lost_is_a_lock(void **state)
{
    change.link_reply_lost = true;
    assert_taken(*state, false);
}

static void test_a_file_system_without_links_is_an_error(void **state)
{
    struct error err = {0};
    struct run_lock *lock;
    bool stole;

    change.link_error = EPERM;
    assert_int_equal(run_lock_acquire(&lock, *state, &stole, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "locking (by a hard link) failed: Operation not permitted");
    assert_int_equal(count_entries(*state), 0);
}

static time_t age_of_lock(const char *run)
{
    struct timespec now;
    struct stat info;
    assert_int_equal(stat(path_in(run, "lock"), &info), 0);
    __real_clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec - info.st_mtime;
}

static void test_heartbeats_touch_the_lock_every_ten_seconds_at_most(void **state)
{
    struct error err = {0};
    struct run_lock *lock;
    bool stole;
    struct timespec old[2];

    assert_ok(run_lock_acquire(&lock, *state, &stole, &err), err);
    __real_clock_gettime(CLOCK_REALTIME, &old[0]);
    old[0].tv_sec -= 1000;
    old[1] = old[0];
    assert_int_equal(utimensat(AT_FDCWD, path_in(*state, "lock"), old, 0), 0);
    change.later = 8; // real time goes on too, hence not 9
    run_lock_heartbeat(lock);
    assert_in_range(age_of_lock(*state), 1000, 1010);
    change.later = 10;
    run_lock_heartbeat(lock);
    assert_in_range(age_of_lock(*state), 0, 10);
    run_lock_release(lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_lock_tells_who_holds_it, set_up, tear_down),
        cmocka_unit_test(test_an_identity_survives_writing_and_reading),
        cmocka_unit_test_setup_teardown(test_a_lock_of_a_dead_process_is_taken_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_reused_process_id_is_no_holder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_other_hosts_are_judged_by_their_heartbeat, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_incomplete_lock_file_is_stale_after_a_minute, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_lost_lock_is_known_and_not_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_run_folder_that_cannot_be_made_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_of_many_takers_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_takers_that_died_while_taking_do_not_block, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_taker_that_is_overtaken_does_not_win_too, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_living_taker_counts_as_the_holder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_link_whose_reply_was_lost_is_a_lock, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_file_system_without_links_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_heartbeats_touch_the_lock_every_ten_seconds_at_most, set_up,
                                        tear_down),
    };
    if (pipe(lifeline) != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
