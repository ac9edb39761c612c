// What hidden states that stay in memory need, and whether they fit.
#include "pipeline/plan/carried.h"
#include "tests/support/planned_job.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SEQUENCE = 256 * 128 * 4 }; // bytes of one's states

static uint64_t need(const char *prune, size_t states_every, size_t ranks)
{
    const struct ranks_there_are there = {.ranks = ranks, .ranks_per_node = ranks};
    struct planned_job job;

    planned_job_create(&job, prune);
    job.settings->states_every = states_every;
    const uint64_t bytes = carried_need(&job.plan, &there);
    planned_job_free(&job);
    return bytes;
}

static void a_rank_holds_the_sequences_that_it_passes(void **state)
{
    (void)state;
    // Of 32 sequences the first of 3 ranks has 11; one team, and only the variant's own states.
    assert_int_equal(need("prune: {sparsity: 0.5, method: wanda}\n", 9, 3), 11 * SEQUENCE);
    assert_int_equal(need("prune: {sparsity: 0.5, method: wanda}\n", 9, 40), SEQUENCE);
    // Beside those of the dense model.
    assert_int_equal(need("prune: {sparsity: 0.5, method: alps}\n", 9, 3), 2 * 11 * SEQUENCE);
    // With dense propagation layers are pruned towards the dense model's alone.
    assert_int_equal(need("prune: {sparsity: 0.5, method: alps, propagation: dense}\n", 9, 3), 11 * SEQUENCE);
    assert_int_equal(need("prune: {sparsity: 0.5, method: alps}\n", 0, 3), 0);
}

static void they_fit_where_the_node_and_the_process_have_room(void **state)
{
    struct planned_job job;
    struct plan_cost cost;
    struct error err = {0};
    (void)state;

    planned_job_create(&job, "prune: {sparsity: 0.5, method: wanda}\n");
    assert_ok(plan_cost(&cost, &job.plan, 2, &err), err);
    const double bytes = 8 * SEQUENCE; // of 32 sequences, on 4 ranks
    const double node = (double)plan_cost_node(&cost, 2) + 2 * bytes;
    const double process = (double)(cost.rank_bytes + cost.node_bytes) + bytes;
    struct capacity capacity = {.memory = UINT64_MAX, .address_space = UINT64_MAX};
    assert_true(states_fit(&job.plan, &cost, 4, 2, &capacity));
    capacity.memory = (uint64_t)(node / 0.9) + 2;
    assert_true(states_fit(&job.plan, &cost, 4, 2, &capacity));
    capacity.memory -= 4;
    assert_false(states_fit(&job.plan, &cost, 4, 2, &capacity));
    capacity.memory = UINT64_MAX;
    capacity.address_space = (uint64_t)(process / 0.9) + 2;
    assert_true(states_fit(&job.plan, &cost, 4, 2, &capacity));
    capacity.address_space -= 4;
    assert_false(states_fit(&job.plan, &cost, 4, 2, &capacity));
    planned_job_free(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_holds_the_sequences_that_it_passes),
        cmocka_unit_test(they_fit_where_the_node_and_the_process_have_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
