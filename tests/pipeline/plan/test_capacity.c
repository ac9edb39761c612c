// The warnings of a plan, before the machine runs out of something.
// wrap: syscall
#include "pipeline/plan/capacity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#ifdef __linux__
#include <sys/quota.h>
#include <sys/syscall.h>
#endif

#include <cmocka.h>

static const uint64_t giga = 1000000000;

// 3 GB a rank and 2 GB a node; 10 GB in the run directory and 7 GB of output.
static const struct plan_cost cost = {.rank_bytes = 3000000000,
                                      .node_bytes = 2000000000,
                                      .statistics_bytes = 1000000000,
                                      .activations_bytes = 4000000000,
                                      .masks_bytes = 2000000000,
                                      .weights_bytes = 3000000000,
                                      .output_bytes = 7000000000};

static char warnings[CAPACITY_WARNINGS][CAPACITY_WARNING_SIZE];

static void enough_of_everything_is_not_warned_of(void **state)
{
    (void)state;
    const struct capacity exactly = {14 * giga, 5 * giga, 10 * giga, 7 * giga, false};
    assert_int_equal(capacity_warn(warnings, &exactly, &cost, 4, false), 0);
    const struct capacity unknown = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX, true};
    assert_int_equal(capacity_warn(warnings, &unknown, &cost, 4, false), 0);
}

static void each_thing_that_is_short_has_a_line(void **state)
{
    (void)state;
    const struct capacity small = {13 * giga, 4 * giga, 9 * giga, 6 * giga, false};
    assert_int_equal(capacity_warn(warnings, &small, &cost, 4, false), 4);
    assert_string_equal(warnings[0],
                        "4 ranks need, on each node, 14.0 GB of memory, this machine has 13.0 GB: fewer "
                        "ranks on a node need less");
    assert_string_equal(warnings[1],
                        "a rank needs 5.0 GB of memory, a process may have 4.0 GB here (ulimit -v)");
    assert_string_equal(warnings[2], "the run directory needs 10.0 GB of disk, 9.0 GB are free there");
    assert_string_equal(warnings[3], "the output needs 7.0 GB of disk, 6.0 GB are free there");
}

static void what_shares_a_disk_is_added_up(void **state)
{
    (void)state;
    const struct capacity shared = {UINT64_MAX, UINT64_MAX, 16 * giga, 16 * giga, true};
    assert_int_equal(capacity_warn(warnings, &shared, &cost, 4, false), 1);
    assert_string_equal(warnings[0],
                        "the run directory and the output need 17.0 GB of disk, 16.0 GB are free there");
}

static void a_run_that_has_begun_has_its_files_already(void **state)
{
    (void)state;
    const struct capacity small = {UINT64_MAX, UINT64_MAX, 9 * giga, 6 * giga, false};
    assert_int_equal(capacity_warn(warnings, &small, &cost, 4, true), 0);
}

static void this_machine_has_memory_and_a_disk(void **state)
{
    struct capacity capacity;
    struct rlimit before, limit;
    (void)state;

    capacity_measure(&capacity, "/no/such/folder/run", NULL);
    assert_in_range(capacity.memory, 1 << 20, UINT64_MAX - 1);
    assert_in_range(capacity.run_free, 0, UINT64_MAX - 1); // the root's
    assert_true(capacity.output_free == UINT64_MAX);
    capacity_measure(&capacity, "run", "models"); // in the same folder
    assert_true(capacity.output_shares_the_run);

    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)1 << 46; // far above what this test has, below "no limit"
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    capacity_measure(&capacity, "run", NULL);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_in_range(capacity.address_space, (uint64_t)1 << 45, ((uint64_t)1 << 46) - 1);
}

#if defined __linux__ && defined SYS_quotactl_fd

// A file system on which users have 1000 blocks of 1 KiB, of which they use 24000 bytes, and groups no limit.
static bool has_quotas;

long __wrap_syscall(long number, ...);
long __wrap_syscall(long number, ...)
{
    va_list arguments;

    if (number != SYS_quotactl_fd || !has_quotas)
        return -1;
    va_start(arguments, number);
    (void)va_arg(arguments, int);
    const int command = va_arg(arguments, int);
    (void)va_arg(arguments, unsigned);
    struct dqblk *quota = va_arg(arguments, struct dqblk *);
    va_end(arguments);
    *quota = (struct dqblk){.dqb_curspace = 24000};
    if ((unsigned)command == ((unsigned)Q_GETQUOTA << SUBCMDSHIFT | USRQUOTA)) // QCMD shifts an int
        quota->dqb_bhardlimit = 1000;
    return 0;
}

static void a_quota_is_less_than_the_disk(void **state)
{
    struct capacity capacity;
    (void)state;
    has_quotas = true;
    capacity_measure(&capacity, "/", NULL);
    has_quotas = false;
    assert_int_equal(capacity.run_free, 1000 * 1024 - 24000);
    capacity_measure(&capacity, "/", NULL);
    assert_in_range(capacity.run_free, 1000 * 1024, UINT64_MAX);
}

#else

static void a_quota_is_less_than_the_disk(void **state)
{
    (void)state;
    skip();
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enough_of_everything_is_not_warned_of),
        cmocka_unit_test(each_thing_that_is_short_has_a_line),
        cmocka_unit_test(what_shares_a_disk_is_added_up),
        cmocka_unit_test(a_run_that_has_begun_has_its_files_already),
        cmocka_unit_test(a_quota_is_less_than_the_disk),
        cmocka_unit_test(this_machine_has_memory_and_a_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
