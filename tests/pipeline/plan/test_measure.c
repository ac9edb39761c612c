// Rates that are measured: of the order that the machine has, and nothing stays behind.
#include "pipeline/plan/measure.h"
#include "tests/support/planned_job.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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
    assert_true(machine.commit > 0 && machine.commit < 60);
    assert_true(machine.network == built_in.network && machine.memory == built_in.memory);
    planned_job_free(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rates_are_this_machine_s)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
