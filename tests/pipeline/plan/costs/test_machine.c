// Rates on the command line, and how a node's cores become ranks and threads.
#include "pipeline/plan/costs/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void rates_are_numbers_with_prefixes(void **state)
{
    struct machine machine;
    struct error err;
    (void)state;
    machine_default(&machine, 4);
    assert_int_equal(machine_parse(&machine, "flops=80G,latency=2u,serial=0.5,commit=5m,memory=1.5T", &err),
                     STATUS_OK);
    assert_true(machine.flops == 80e9);
    assert_true(machine.latency == 2e-6);
    assert_true(machine.serial == 0.5);
    assert_true(machine.commit == 5e-3);
    assert_true(machine.memory == 1.5e12);
    assert_int_equal(machine.ranks_per_node, 4);
    assert_int_equal(machine.threads, 1);
    assert_false(machine.measured);
    assert_int_equal(machine_parse(&machine, "measured", &err), STATUS_OK);
    assert_true(machine.measured && machine.flops == 80e9);
    machine_default(&machine, 4);
    assert_int_equal(machine_parse(&machine, "measured,flops=3k", &err), STATUS_OK);
    assert_true(machine.measured && machine.flops == 3e3);
}

static void what_is_not_a_rate_is_refused(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"flop=1", "--machine: there is no rate 'flop'"},
        {"measure", "--machine: there is no rate 'measure'"},
        {"measured=1", "--machine: there is no rate 'measured'"},
        {"flops", "--machine: flops must be a number such as 80G, got 'flops'"},
        {"flops=", "--machine: flops must be a number such as 80G, got 'flops='"},
        {"flops=80X", "--machine: flops must be a number such as 80G, got 'flops=80X'"},
        {"flops=80GG", "--machine: flops must be a number such as 80G, got 'flops=80GG'"},
        {"flops=0", "--machine: flops must be a number such as 80G, got 'flops=0'"},
        {"flops=-1", "--machine: flops must be a number such as 80G, got 'flops=-1'"},
        {"flops=nan", "--machine: flops must be a number such as 80G, got 'flops=nan'"},
        {"network=1G,,", "--machine: there is no rate ''"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct machine machine;
        struct error err;
        machine_default(&machine, 1);
        assert_int_equal(machine_parse(&machine, cases[i].text, &err), STATUS_USAGE);
        assert_string_equal(err.message, cases[i].message);
    }
}

static void there_are_no_more_ranks_than_sequences(void **state)
{
    static const struct {
        size_t nodes, cores, sequences, ranks, threads;
    } cases[] = {{1, 128, 128, 128, 1},
                 {8, 128, 128, 16, 8},
                 {64, 128, 128, 2, 64},
                 {512, 128, 128, 1, 128},
                 {3, 2, 48, 2, 1},
                 {2, 128, 128, 64, 2},
                 {1, 6, 4, 3, 2},
                 {1, 1, 1, 1, 1},
                 {1, 20, 5, 5, 4},
                 {64, 125, 5, 1, 125},
                 {1, (size_t)1 << 40, 5, (size_t)1 << 40, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct machine machine;
        machine_default(&machine, cases[i].cores);
        machine.nodes = cases[i].nodes;
        machine_fit(&machine, cases[i].sequences);
        assert_int_equal(machine.ranks_per_node, cases[i].ranks);
        assert_int_equal(machine.threads, cases[i].threads);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rates_are_numbers_with_prefixes),
                                       cmocka_unit_test(what_is_not_a_rate_is_refused),
                                       cmocka_unit_test(there_are_no_more_ranks_than_sequences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
