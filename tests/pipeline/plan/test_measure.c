// wrap: fork allowed_cores
// Rates that are measured: of the order that the machine has, and nothing stays behind.
#include "pipeline/plan/costs/cores.h"
#include "pipeline/plan/measure.h"
#include "tests/support/planned_job.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static size_t forks;

__typeof__(fork) __real_fork, __wrap_fork;
pid_t __wrap_fork(void)
{
    forks++;
    return __real_fork();
}

size_t __wrap_allowed_cores(void);
size_t __wrap_allowed_cores(void)
{
    return 3;
}

static void rates_are_this_machine_s(void **state)
{
    struct planned_job job;
    struct machine machine, built_in;
    struct error err = {0};
    (void)state;
    planned_job_create(&job, "prune: {method: wanda, sparsity: 0.5}\n");
    machine_default(&built_in, 1);
    machine = built_in;
    assert_int_equal(machine_measure(&machine, &job.plan, &err), STATUS_OK);
    // Between a slow interpreter and the fastest core there is.
    assert_in_range((uintmax_t)machine.flops, 1000000, 1000000000000);
    assert_in_range((uintmax_t)machine.convert, 100000, 1000000000000);
    const double faster = machine.flops / built_in.flops;
    assert_true(fabs(machine.score - built_in.score * faster) <= 1e-9 * machine.score);
    assert_true(fabs(machine.compensate - built_in.compensate * faster) <= 1e-9 * machine.compensate);
    assert_true(fabs(machine.correct - built_in.correct * faster) <= 1e-9 * machine.correct);
    assert_true(machine.commit > 0 && machine.commit < 60);
    assert_true(machine.network == built_in.network && machine.memory == built_in.memory);
    planned_job_free(&job);
}

// As many other processes work as other ranks would, and no more than there are cores for.
static void cores_are_as_busy_as_in_the_run(void **state)
{
    static const struct {
        size_t ranks, threads, others;
    } cases[] = {{1, 1, 0}, {2, 1, 1}, {1, 2, 1}, {2, 4, 2}};
    struct planned_job job;
    struct error err = {0};
    (void)state;

    planned_job_create(&job, "prune: {method: wanda, sparsity: 0.5}\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct machine machine;
        machine_default(&machine, cases[i].ranks);
        machine.threads = cases[i].threads;
        forks = 0;
        assert_int_equal(machine_measure(&machine, &job.plan, &err), STATUS_OK);
        assert_int_equal(forks, cases[i].others);
    }
    planned_job_free(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_this_machine_s),
        cmocka_unit_test(cores_are_as_busy_as_in_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
