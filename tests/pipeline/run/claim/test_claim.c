// wrap: nanosleep clock_gettime pthread_create pthread_cond_timedwait
// claim.h: which programs may work in one run directory at the same time, and what they leave behind.
#include "io/file/process_identity.h"
#include "io/file/run_paths.h"
#include "pipeline/run/claim/claim.h"
#include "tests/support/temporary_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

// ---- calls that do something else on demand --------------------------------------------------------------

// No test waits: a nap moves the clock on, the thread that keeps locks fresh beats when it is told to.
static struct {
    atomic_long later; // seconds that the clocks are ahead
    int naps;
    int release_after;     // so many naps, 0: never
    struct claim *release; // is given up then
    const char *usurped;   // NULL, or a run directory whose lock another program takes over then
    bool no_threads;
    bool beats; // the first wait of the thread ends when `beat` is posted, `beaten` is posted at the second
    int waits;
    sem_t beat, beaten;
} change;

int __real_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now);
int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    const int result = __real_clock_gettime(id, now);
    now->tv_sec += change.later;
    return result;
}

int __wrap_nanosleep(const struct timespec *pause, struct timespec *rest);
int __wrap_nanosleep(const struct timespec *pause, struct timespec *rest)
{
    (void)pause;
    (void)rest;
    change.later++;
    if (++change.naps == change.release_after) {
        claim_release(change.release);
        if (change.usurped != NULL) {
            assert_int_equal(unlink(path_in(change.usurped, "lock")), 0);
            write_text(change.usurped, "lock", "another's");
        }
    }
    return 0;
}

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *),
                          void *argument)
{
    return change.no_threads ? EAGAIN : __real_pthread_create(thread, attributes, start, argument);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    (void)until;
    if (change.beats && change.waits++ == 0) {
        sem_wait(&change.beat);
        return ETIMEDOUT;
    }
    if (change.beats && change.waits == 2)
        sem_post(&change.beaten);
    return pthread_cond_wait(condition, mutex);
}

static int set_up(void **state)
{
    memset(&change, 0, sizeof change);
    sem_init(&change.beat, 0, 0);
    sem_init(&change.beaten, 0, 0);
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

// ---- helpers ---------------------------------------------------------------------------------------------

static const char *const ab[] = {"a", "b"};
static const char *const bc[] = {"b", "c"};
static const char *const cd[] = {"c", "d"};

static bool is_there(const char *folder, const char *name)
{
    return access(path_in(folder, name), F_OK) == 0;
}

static char *run_in(const char *folder)
{
    char *run = strdup(path_in(folder, "run"));
    assert_non_null(run);
    return run;
}

static struct claim *take(const char *run, const char *const *names, bool whole)
{
    struct claim *claim;
    struct error err = {0};
    struct claim_outcome outcome = {true, ""};
    assert_ok(claim_take(&claim, run, names, 2, whole, &outcome, &err), err);
    assert_false(outcome.stole);
    assert_null(outcome.in_use);
    return claim;
}

// The other program is refused, with this in its message.
static void assert_refused(const char *run, const char *const *names, bool whole, const char *part)
{
    struct claim *claim;
    struct error err = {0};
    struct claim_outcome outcome = {0};
    assert_int_equal(claim_take(&claim, run, names, 2, whole, &outcome, &err), STATUS_FAILED);
    assert_null(claim);
    assert_error(err, STATUS_FAILED, part);
    assert_int_equal(outcome.in_use != NULL, strncmp(part, "results/", 8) == 0);
    if (outcome.in_use != NULL)
        assert_string_equal(outcome.in_use, part + 8);
}

static void write_lock(const char *folder, const struct process_identity *identity)
{
    char text[2048];
    const size_t size = process_identity_format(text, sizeof text, identity);
    write_file(folder, "lock", text, size);
}

// A process of this host that has ended.
static struct process_identity dead_process(void)
{
    struct process_identity identity;
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    process_identity_self(&identity);
    identity.pid = child;
    waitpid(child, NULL, 0);
    return identity;
}

static void make_folder(const char *folder, const char *name)
{
    assert_int_equal(mkdir(path_in(folder, name), 0777), 0);
}

// ---- programs at the same time ----------------------------------------------------------------------------

static void the_whole_holds_the_run_and_every_variant(void **state)
{
    char *run = run_in(*state);
    struct claim *claim = take(run, ab, true);

    claim_share(claim); // nothing happens
    assert_true(is_there(run, "lock"));
    assert_true(is_there(run, "results/a/lock"));
    assert_true(is_there(run, "results/b/lock"));
    assert_refused(run, cd, true, "lock");
    claim_release(claim);
    assert_false(is_there(*state, "run"));
    free(run);
}

// The other one has RUN/lock, and is about to make the folders of its variants.
static void who_gets_no_lock_removes_no_folder(void **state)
{
    char *run = run_in(*state);
    struct process_identity other;

    make_folder(*state, "run");
    make_folder(run, "results");
    process_identity_self(&other);
    write_lock(run, &other);
    assert_refused(run, ab, true, "lock");
    assert_true(is_there(run, "results"));
    free(run);
}

static void programs_with_different_variants_share_a_run(void **state)
{
    char *run = run_in(*state);
    struct claim *first = take(run, ab, false);

    assert_true(is_there(run, "lock"));
    claim_share(first);
    assert_false(is_there(run, "lock"));
    struct claim *second = take(run, cd, false);
    claim_share(second);
    assert_true(is_there(run, "results/a/lock"));
    assert_true(is_there(run, "results/d/lock"));
    claim_release(first);
    assert_false(is_there(run, "results/a"));
    assert_true(is_there(run, "results/d/lock"));
    claim_release(second);
    assert_false(is_there(*state, "run"));
    free(run);
}

static void a_variant_that_both_want_is_refused_and_the_other_given_back(void **state)
{
    char *run = run_in(*state);
    const char *const cb[] = {"c", "b"}; // c is free, b is not
    struct claim *first = take(run, ab, false);

    claim_share(first);
    assert_refused(run, cb, false, "results/b");
    assert_false(is_there(run, "results/c"));
    assert_false(is_there(run, "lock"));
    assert_true(is_there(run, "results/b/lock"));
    claim_release(first);
    free(run);
}

static void the_whole_is_refused_while_a_variant_is_held(void **state)
{
    char *run = run_in(*state);
    struct claim *first = take(run, ab, false);

    claim_share(first);
    assert_refused(run, bc, true, "results/b");
    assert_false(is_there(run, "lock"));
    assert_int_equal(change.naps, 0);
    claim_release(first);
    free(run);
}

// ---- waiting for RUN/lock --------------------------------------------------------------------------------

static void a_subset_waits_while_another_opens_the_run(void **state)
{
    char *run = run_in(*state);

    change.release = take(run, ab, false);
    change.release_after = 3;
    struct claim *second = take(run, cd, false);
    assert_int_equal(change.naps, 3);
    assert_true(is_there(run, "lock"));
    claim_release(second);
    free(run);
}

static void it_waits_a_minute_for_the_whole_and_then_says_who_holds_it(void **state)
{
    char *run = run_in(*state);
    char pid[32];
    struct claim *whole = take(run, ab, true);

    snprintf(pid, sizeof pid, "%ld", (long)getpid());
    assert_refused(run, cd, false, pid);
    assert_in_range(change.naps, 60, 62); // of a second each on the clock of this test
    claim_release(whole);
    free(run);
}

static void the_whole_does_not_wait(void **state)
{
    char *run = run_in(*state);
    struct claim *whole = take(run, ab, true);

    assert_refused(run, cd, true, "lock");
    assert_int_equal(change.naps, 0);
    claim_release(whole);
    free(run);
}

// ---- programs that are gone ------------------------------------------------------------------------------

static void what_a_dead_program_held_is_taken_over(void **state)
{
    const char *const locks[] = {"run", "run/results/b"};
    for (size_t i = 0; i < 2; i++) {
        const struct process_identity dead = dead_process();
        char *run = run_in(*state);
        struct claim *claim;
        struct error err = {0};
        struct claim_outcome outcome = {0};

        make_folder(*state, "run");
        make_folder(*state, "run/results");
        make_folder(*state, "run/results/b");
        write_lock(path_in(*state, locks[i]), &dead);
        assert_ok(claim_take(&claim, run, ab, 2, i == 0, &outcome, &err), err);
        assert_true(outcome.stole);
        claim_release(claim);
        assert_false(is_there(*state, "run"));
        free(run);
    }
}

// A program that was suspended as it took its locks, and wakes, has one for a moment that another needs.
static void first_holds_b_and_the_run_is_left(const char *run)
{
    const struct process_identity dead = dead_process();

    change.release = take(run, ab, false);
    change.release_after = 3;
    claim_share(change.release);
    write_lock(run, &dead);
}

static void who_takes_a_run_over_waits_for_one_that_wakes(void **state)
{
    for (int whole = 0; whole < 2; whole++) {
        char *run = run_in(*state);
        struct claim *claim;
        struct error err = {0};
        struct claim_outcome outcome = {0};

        change.naps = 0;
        first_holds_b_and_the_run_is_left(run);
        assert_ok(claim_take(&claim, run, bc, 2, whole != 0, &outcome, &err), err);
        assert_true(outcome.stole);
        assert_int_equal(change.naps, 3);
        claim_release(claim);
        free(run);
    }
}

static void who_wakes_without_the_run_gives_its_variants_back(void **state)
{
    char *run = run_in(*state);

    first_holds_b_and_the_run_is_left(run);
    change.usurped = run;
    struct claim *claim;
    struct error err = {0};
    struct claim_outcome outcome = {0};
    assert_int_equal(claim_take(&claim, run, bc, 2, true, &outcome, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "took the lock over");
    assert_false(is_there(run, "results/b"));
    assert_true(is_there(run, "lock")); // the other's
    free(run);
}

static void leave(const char *run, const char *folder)
{
    char name[128];
    make_folder(run, folder);
    snprintf(name, sizeof name, "%s/.layer-000.h5.tmp-host-1", folder);
    write_text(run, name, "half a file");
    snprintf(name, sizeof name, "%s/layer-000.h5", folder);
    write_text(run, name, "a whole one");
}

static void a_subset_cleans_its_own_folders_only(void **state)
{
    static const char *const kinds[] = {"statistics", "hessians", "activations", "masks", "weights"};
    char *run = run_in(*state);
    struct claim *claim = take(run, ab, false);
    struct error err = {0};
    size_t removed = 0;
    char name[64];

    for (size_t k = 0; k < 5; k++) {
        make_folder(run, kinds[k]);
        for (char variant = 'a'; variant <= 'c'; variant++) {
            snprintf(name, sizeof name, "%s/%c", kinds[k], variant);
            leave(run, name);
        }
    }
    write_text(run, "results/a/.perplexity.json.tmp-host-1", "half a file");
    write_text(run, ".run.json.tmp-host-1", "half a file");
    assert_ok(claim_clean(claim, &removed, &err), err);
    assert_int_equal(removed, 5 * 2 + 1);
    for (size_t k = 0; k < 5; k++)
        for (char variant = 'a'; variant <= 'c'; variant++) {
            snprintf(name, sizeof name, "%s/%c/.layer-000.h5.tmp-host-1", kinds[k], variant);
            assert_int_equal(is_there(run, name), variant == 'c');
            snprintf(name, sizeof name, "%s/%c/layer-000.h5", kinds[k], variant);
            assert_true(is_there(run, name));
        }
    assert_true(is_there(run, ".run.json.tmp-host-1"));
    claim_release(claim);

    claim = take(run, ab, true);
    assert_ok(claim_clean(claim, &removed, &err), err);
    assert_int_equal(removed, 5 + 1); // those of c, and the run's own
    claim_release(claim);
    free(run);
}

// ---- the thread ------------------------------------------------------------------------------------------

static void without_a_thread_there_is_no_claim(void **state)
{
    char *run = run_in(*state);

    change.no_threads = true;
    assert_refused(run, ab, true, "cannot start a thread");
    assert_false(is_there(*state, "run"));
    free(run);
}

static time_t age(const char *path)
{
    struct timespec now;
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    __real_clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec - info.st_mtim.tv_sec;
}

static void all_locks_are_kept_fresh(void **state)
{
    static const char *const locks[] = {"lock", "results/a/lock", "results/b/lock"};
    const struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    char *run = run_in(*state);

    change.beats = true;
    struct claim *claim = take(run, ab, true);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(utimensat(AT_FDCWD, path_in(run, locks[i]), old, 0), 0);
    change.later += 11; // a lock is touched every ten seconds at most
    sem_post(&change.beat);
    while (sem_wait(&change.beaten) != 0)
        ;
    for (size_t i = 0; i < 3; i++)
        assert_in_range(age(path_in(run, locks[i])), 0, 60);
    claim_release(claim);
    free(run);
}

// The locks to look at: everybody takes RUN/lock first, so that it stands for those of a whole job.
static void the_fence_is_what_is_held(void **state)
{
    char *run = run_in(*state);
    struct error err = {0};
    struct fence_lock *locks;
    size_t count;

    struct claim *claim = take(run, ab, true);
    assert_ok(claim_locks(&locks, &count, claim, &err), err);
    assert_int_equal(count, 1);
    assert_string_equal(locks[0].path, path_in(run, "lock"));
    free(locks);
    claim_release(claim);
    claim = take(run, ab, false);
    assert_ok(claim_locks(&locks, &count, claim, &err), err);
    assert_int_equal(count, 3);
    free(locks);
    claim_share(claim);
    assert_ok(claim_locks(&locks, &count, claim, &err), err);
    assert_int_equal(count, 2);
    assert_string_equal(locks[0].path, path_in(run, "results/a/lock"));
    assert_string_equal(locks[1].path, path_in(run, "results/b/lock"));
    assert_ok(fence_set(locks, count, &err), err);
    assert_ok(fence_check(&err), err);
    fence_clear();
    free(locks);
    claim_release(claim);
    free(run);
}

static void a_heartbeat_sees_that_the_lock_was_lost(void **state)
{
    char *run = run_in(*state);
    struct error err = {0};
    struct fence_lock *locks;
    size_t count;

    change.beats = true;
    struct claim *claim = take(run, ab, true);
    assert_ok(claim_locks(&locks, &count, claim, &err), err);
    assert_ok(fence_set(locks, count, &err), err);
    write_text(run, "lock", "another's");
    assert_false(fence_is_lost());
    sem_post(&change.beat);
    while (sem_wait(&change.beaten) != 0)
        ;
    assert_true(fence_is_lost());
    fence_clear();
    free(locks);
    claim_release(claim);
    free(run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_whole_holds_the_run_and_every_variant, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_gets_no_lock_removes_no_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(programs_with_different_variants_share_a_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_variant_that_both_want_is_refused_and_the_other_given_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_whole_is_refused_while_a_variant_is_held, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_subset_waits_while_another_opens_the_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_waits_a_minute_for_the_whole_and_then_says_who_holds_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_whole_does_not_wait, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_a_dead_program_held_is_taken_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_takes_a_run_over_waits_for_one_that_wakes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_wakes_without_the_run_gives_its_variants_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_subset_cleans_its_own_folders_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_thread_there_is_no_claim, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_locks_are_kept_fresh, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_fence_is_what_is_held, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_heartbeat_sees_that_the_lock_was_lost, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
