// wrap: clock_gettime
// holders.h: who holds a run directory, as its lock files say.
#include "pipeline/status/holders.h"
#include "tests/support/temporary_folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

// The clock stands still, so that ages are exact.
static const struct timespec now = {.tv_sec = 1770000000, .tv_nsec = 500000000};

int __wrap_clock_gettime(clockid_t id, struct timespec *time);
int __wrap_clock_gettime(clockid_t id, struct timespec *time)
{
    (void)id;
    *time = now;
    return 0;
}

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

// Writes FOLDER/lock, which is made if need be, as `identity` did `age` seconds ago.
static void put_lock(const char *run, const char *folder, const struct process_identity *identity, double age)
{
    char text[2048];
    struct timespec times[2] = {now, now};
    const size_t size = process_identity_format(text, sizeof text, identity);
    const char *path = path_in(run, folder);

    (void)mkdir(path_in(run, "results"), 0777);
    (void)mkdir(path, 0777);
    path = write_file(path, "lock", text, size);
    const int64_t nanoseconds = now.tv_sec * 1000000000LL + now.tv_nsec - (int64_t)(age * 1e9);
    times[0].tv_sec = times[1].tv_sec = nanoseconds / 1000000000;
    times[0].tv_nsec = times[1].tv_nsec = nanoseconds % 1000000000;
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static struct process_identity self(void)
{
    struct process_identity identity;
    process_identity_self(&identity);
    return identity;
}

static struct process_identity of_another_host(void)
{
    struct process_identity identity = self();
    snprintf(identity.host, sizeof identity.host, "elsewhere");
    snprintf(identity.boot, sizeof identity.boot, "another-boot");
    return identity;
}

static struct process_identity of_a_dead_process(void)
{
    struct process_identity identity = self();
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    identity.pid = child;
    waitpid(child, NULL, 0);
    return identity;
}

static struct holders read_all(const char *run)
{
    struct holders holders;
    struct error err = {0};
    assert_ok(holders_read(&holders, run, &err), err);
    return holders;
}

static void a_run_without_locks_is_held_by_nobody(void **state)
{
    struct holders holders = read_all(*state);
    assert_int_equal(holders.count, 0);
    holders_free(&holders);
    holders = read_all("/nowhere/run");
    assert_int_equal(holders.count, 0);
    holders_free(&holders);
}

static void one_program_with_several_locks_is_one_holder(void **state)
{
    const struct process_identity me = self();

    put_lock(*state, "results/b", &me, 3);
    put_lock(*state, "results/a", &me, 12);
    put_lock(*state, "results/dense", &me, 7);
    struct holders holders = read_all(*state);
    assert_int_equal(holders.count, 1);
    assert_false(holders.items[0].whole);
    assert_int_equal(holders.items[0].num_variants, 3);
    assert_string_equal(holders.items[0].variants[0], "a");
    assert_string_equal(holders.items[0].variants[1], "b");
    assert_string_equal(holders.items[0].variants[2], "dense");
    assert_true(holders.items[0].silence == 3); // since the newest heartbeat
    assert_int_equal(holders.items[0].state, HOLDER_WORKS);
    holders_free(&holders);

    put_lock(*state, ".", &me, 20);
    holders = read_all(*state);
    assert_int_equal(holders.count, 1);
    assert_true(holders.items[0].whole);
    assert_true(holders.items[0].silence == 3);
    holders_free(&holders);
}

static void programs_are_told_apart(void **state)
{
    const struct process_identity me = self(), other = of_another_host();
    struct process_identity earlier = me; // had the same process id

    earlier.start++;
    put_lock(*state, "results/a", &me, 0);
    put_lock(*state, "results/b", &other, 0);
    put_lock(*state, "results/c", &earlier, 0);
    struct holders holders = read_all(*state);
    assert_int_equal(holders.count, 3);
    assert_int_equal(holders.items[0].state, HOLDER_WORKS);
    assert_string_equal(holders.items[1].identity.host, "elsewhere");
    assert_int_equal(holders.items[1].state, HOLDER_WORKS);
    assert_int_equal(holders.items[2].state, HOLDER_GONE);
    holders_free(&holders);
}

static void a_process_of_this_host_is_looked_up_whatever_its_heartbeat(void **state)
{
    const struct process_identity me = self(), dead = of_a_dead_process();

    put_lock(*state, "results/a", &me, 1000);
    put_lock(*state, "results/b", &dead, 0);
    struct holders holders = read_all(*state);
    assert_int_equal(holders.count, 2);
    assert_int_equal(holders.items[0].state, HOLDER_WORKS);
    assert_int_equal(holders.items[1].state, HOLDER_GONE);
    holders_free(&holders);
}

static void one_of_another_host_works_for_a_minute_after_its_heartbeat(void **state)
{
    static const struct {
        double age;
        enum holder_state state;
    } cases[] = {{0, HOLDER_WORKS}, {60, HOLDER_WORKS}, {60.5, HOLDER_SILENT}, {100000, HOLDER_SILENT}};
    const struct process_identity other = of_another_host();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_lock(*state, "results/a", &other, cases[i].age);
        struct holders holders = read_all(*state);
        assert_int_equal(holders.count, 1);
        assert_true(holders.items[0].silence == cases[i].age);
        assert_int_equal(holders.items[0].state, cases[i].state);
        holders_free(&holders);
    }
    // A variant that is worked on says that the program lives, however old its other locks are.
    put_lock(*state, "results/b", &other, 1);
    struct holders holders = read_all(*state);
    assert_int_equal(holders.count, 1);
    assert_int_equal(holders.items[0].state, HOLDER_WORKS);
    holders_free(&holders);
}

static void what_is_no_lock_is_passed_over(void **state)
{
    const struct process_identity me = self();

    put_lock(*state, "results/a", &me, 0);
    put_lock(*state, "results/.hidden", &me, 0);
    (void)mkdir(path_in(*state, "results/torn"), 0777);
    write_text(path_in(*state, "results/torn"), "lock", "host=");
    (void)mkdir(path_in(*state, "results/linked"), 0777);
    assert_int_equal(symlink(path_in(*state, "results/a/lock"), path_in(*state, "results/linked/lock")), 0);
    (void)mkdir(path_in(*state, "results/folder"), 0777);
    (void)mkdir(path_in(*state, "results/folder/lock"), 0777);
    assert_int_equal(mkfifo(path_in(*state, "results/lock"), 0777), 0);
    struct holders holders = read_all(*state);
    assert_int_equal(holders.count, 1);
    assert_int_equal(holders.items[0].num_variants, 1);
    assert_string_equal(holders.items[0].variants[0], "a");
    holders_free(&holders);
}

static void states_have_names(void **state)
{
    (void)state;
    assert_string_equal(holder_state_name(HOLDER_WORKS), "works");
    assert_string_equal(holder_state_name(HOLDER_GONE), "gone");
    assert_string_equal(holder_state_name(HOLDER_SILENT), "silent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_without_locks_is_held_by_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_program_with_several_locks_is_one_holder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(programs_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_process_of_this_host_is_looked_up_whatever_its_heartbeat, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(one_of_another_host_works_for_a_minute_after_its_heartbeat, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_lock_is_passed_over, set_up, tear_down),
        cmocka_unit_test(states_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
