// The bytes that a plan moves and how its work is shared out, compared with numbers worked out by hand from
// the shapes of the demonstration's model. A real run's bytes are counted by tests/e2e/plan.sh, its time is
// measured by test_unit_cost.c.
#include "io/model/weights/checkpoint.h"
#include "pipeline/plan/estimate.h"
#include "pipeline/plan/teams.h"
#include "stages/export/side_files.h"
#include "stages/stage.h"
#include "tests/support/planned_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LAYERS = 4, SEQUENCES = 32, LENGTH = 256 };
// q, k, v, o, gate, up, down
static const double weights = 128 * 128 + 2 * 64 * 128 + 128 * 128 + 3 * 344 * 128;
static const double inputs = 6 * 128 + 344;
static const double layer_bytes = 2 * (128 * 128 + 2 * 64 * 128 + 128 * 128 + 3 * 344 * 128 + 2 * 128);
static const double hidden_states = (double)SEQUENCES * LENGTH * 128 * 4;

static int set_up(void **state)
{
    struct planned_job *job = calloc(1, sizeof *job);
    assert_non_null(job);
    planned_job_create(job, "output: /nonexistent/models\n"
                            "prune: {method: [wanda, cvr], sparsity: 0.5, propagation: dense}\n"
                            "compensate: {energy: [columns, rows]}\n"
                            "evaluate: {perplexity: @/jobs/demo/test.jsonl}\n");
    *state = job;
    return 0;
}

static int tear_down(void **state)
{
    planned_job_free(*state);
    free(*state);
    return 0;
}

static struct plan_estimate estimate_on(const struct planned_job *job, const struct machine *machine)
{
    struct plan_estimate estimate;
    plan_estimate(&estimate, &job->plan, machine);
    return estimate;
}

// Sums of a few terms in double: equal but for rounding.
static void assert_close(double a, double b)
{
    if (!(a <= b * (1 + 1e-12) && a >= b * (1 - 1e-12)))
        fail_msg("%.17g is not %.17g", a, b);
}

static void bytes_are_those_of_the_shapes(void **state)
{
    struct machine machine;
    machine_default(&machine, 2);
    const struct plan_estimate e = estimate_on(*state, &machine);
    const double statistics = LAYERS * (4 * inputs + 7) * sizeof(double); // and how many tokens, of 7 linears

    // Every layer's outputs but the last one's; a file is read back once, its checksum and contents are read
    // later.
    assert_close(e.stages[STAGE_CALIBRATE].written, (LAYERS - 1) * hidden_states + statistics);
    assert_close(e.stages[STAGE_CALIBRATE].read,
                 LAYERS * layer_bytes + 3 * (LAYERS - 1) * hidden_states + statistics);
    // Each of the two ranks sends the other half of every vector, of 16 sequences, and then half of the
    // totals.
    const double vector = 3 * (3 * 128 + 344) * sizeof(double);
    assert_close(e.stages[STAGE_CALIBRATE].sent, LAYERS * (SEQUENCES + 2) * vector / 2);
}

// Written with the files beside the weights; the source is read, and again when the export is read back, with
// the variant's files, whose checksums are looked at each time.
static void an_export_is_read_back(void **state)
{
    const struct planned_job *job = *state;
    struct machine machine;
    machine_default(&machine, 2);
    const struct estimate e = estimate_on(job, &machine).stages[STAGE_EXPORT];
    const double model = (double)checkpoint_bytes(job->model->checkpoint);
    const double beside = (double)side_files_bytes(job->model, job->settings->model);
    const double models = (double)job->settings->num_variants;

    assert_true(beside > 0);
    assert_close(e.written, models * (model + beside));
    assert_true(e.read > models * (3 * model + 2 * LAYERS * weights * 2 + beside));
    assert_true(e.read < models * 6 * model);
}

static void a_team_reads_the_checkpoint_once_whatever_its_nodes(void **state)
{
    struct machine one, two;
    machine_default(&one, 2);
    machine_default(&two, 2);
    two.nodes = 2;
    const struct plan_estimate a = estimate_on(*state, &one), b = estimate_on(*state, &two);

    assert_close(b.stages[STAGE_CALIBRATE].read, a.stages[STAGE_CALIBRATE].read);
    // Scoring splits the layers over the nodes: none is read twice.
    assert_close(b.stages[STAGE_SCORE].read, a.stages[STAGE_SCORE].read);
    // Each node sends the other its half of every layer in float32; with an endless network only that is left
    // out of the time.
    two.network = 1e30;
    const struct plan_estimate c = estimate_on(*state, &two);
    const double expanded = LAYERS * layer_bytes * 2;
    assert_true(a.stages[STAGE_CALIBRATE].parts[PART_NETWORK] == 0);
    assert_true(b.stages[STAGE_CALIBRATE].parts[PART_NETWORK] > expanded / one.network);
    assert_true(c.stages[STAGE_CALIBRATE].parts[PART_NETWORK] < 1e-9);
    assert_true(b.stages[STAGE_CALIBRATE].sent - a.stages[STAGE_CALIBRATE].sent > expanded);
}

static void arithmetic_goes_in_waves(void **state)
{
    struct machine machine;
    machine_default(&machine, 3);
    machine.convert = machine.memory = 1e30; // nothing else takes time
    machine.flops = 1e9;
    const struct plan_estimate e = estimate_on(*state, &machine);

    // 32 sequences on 3 ranks: 11 waves. A token meets every weight and half of the others, twice each.
    const double forward = LENGTH * (2 * weights + 2.0 * LENGTH * 128);
    assert_close(e.stages[STAGE_CALIBRATE].parts[PART_ARITHMETIC], 11 * LAYERS * forward / 1e9);
}

static void parts_add_up_to_the_time(void **state)
{
    struct machine machine;
    machine_default(&machine, 4);
    machine.nodes = 3;
    const struct plan_estimate e = estimate_on(*state, &machine);
    double seconds = 0;
    for (int s = 0; s < STAGE_COUNT; s++) {
        double parts = 0;
        for (int p = 0; p < PART_COUNT; p++)
            parts += e.stages[s].parts[p];
        assert_true(parts == 0 ? e.stages[s].seconds == 0 : true);
        if (parts > 0)
            assert_close(e.stages[s].seconds, parts);
        seconds += e.stages[s].seconds;
    }
    assert_close(e.all.seconds, seconds);
}

static void a_stage_that_waits_for_commits_has_no_use_for_many_nodes(void **state)
{
    struct machine machine;
    machine_default(&machine, 1);
    machine.commit = 10;
    const struct plan_estimate e = estimate_on(*state, &machine);
    assert_int_equal(e.useful_nodes[STAGE_CALIBRATE], 1);
    // Four layers go to as many nodes, and no further.
    assert_int_equal(e.useful_nodes[STAGE_SCORE], LAYERS);
}

// 32 sequences and 300000 / 256 windows: from 1172 ranks on there is no work for more of them, and the nodes
// without read nothing.
static void nodes_without_work_read_nothing(void **state)
{
    struct machine machine;
    machine_default(&machine, 100);
    machine.nodes = 12;
    const struct plan_estimate enough = estimate_on(*state, &machine);
    machine.nodes = 50;
    const struct plan_estimate more = estimate_on(*state, &machine);
    assert_close(enough.stages[STAGE_CALIBRATE].read, more.stages[STAGE_CALIBRATE].read);
    assert_close(enough.stages[STAGE_CALIBRATE].messages, more.stages[STAGE_CALIBRATE].messages);
}

// 1172 windows on 1024 ranks are two waves, and the second is almost empty: fewer ranks with more threads
// take less time for them. On two ranks all waves are full.
static void fewer_ranks_with_threads_suit_a_short_last_wave(void **state)
{
    const struct planned_job *job = *state;
    const size_t sequences = job->settings->sequences;
    struct machine machine;

    machine_default(&machine, 2);
    const struct plan_estimate two = estimate_on(job, &machine);
    assert_int_equal(two.best.ranks_per_node, 2);
    assert_int_equal(two.best.threads, 1);
    machine_default(&machine, 1024);
    machine.commit = machine.latency = machine.dataset = 0; // arithmetic alone
    machine.node_read = machine.node_write = machine.total_read = machine.total_write = 1e18;
    job->settings->sequences = 1024;
    const struct plan_estimate many = estimate_on(job, &machine);
    const struct plan_estimate best = estimate_on(job, &many.best);
    job->settings->sequences = sequences;
    assert_int_equal(many.best.ranks_per_node * many.best.threads, 1024);
    assert_true(best.all.seconds < 0.9 * many.all.seconds);
}

// Scoring has a chain for each of the four layers, calibration is one. Layers are small, so that a node may
// have as many teams as ranks; no team may be short of a chain in the last round, but for a tenth of them.
static void teams_are_formed_by_nodes_or_by_ranks(void **state)
{
    static const struct {
        size_t phase, ranks, ranks_per_node, asked, teams;
    } cases[] = {{1, 1, 1, 0, 1},   {1, 2, 2, 0, 2}, {1, 3, 3, 0, 2},  {1, 4, 4, 0, 4}, {1, 8, 8, 0, 4},
                 {1, 4, 2, 0, 4},   {1, 6, 2, 0, 3}, {1, 99, 1, 0, 4}, {1, 4, 4, 3, 3}, {1, 2, 2, 9, 2},
                 {1, 16, 16, 9, 4}, {0, 8, 4, 0, 1}, {0, 8, 4, 5, 1}};
    const struct planned_job *job = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct ranks_there_are there = {cases[i].ranks, cases[i].ranks_per_node, cases[i].asked};
        const size_t teams = teams_of_phase(&job->plan, cases[i].phase, &there);
        if (teams != cases[i].teams)
            fail_msg("case %zu: %zu teams, not %zu", i, teams, cases[i].teams);
    }
}

// 32 sequences and 13 windows.
static void ranks_without_a_sequence_or_a_window_do_not_work(void **state)
{
    const struct planned_job *job = *state;
    const unsigned all = ~0U;
    assert_int_equal(working_ranks(&job->plan, 0, all, 13, 40, 1), 32);
    assert_int_equal(working_ranks(&job->plan, 0, all, 13, 32, 1), 32);
    assert_int_equal(working_ranks(&job->plan, 0, all, 13, 5, 1), 5);
    assert_int_equal(working_ranks(&job->plan, 1, all, 13, 99, 4), 99); // rows
    assert_int_equal(working_ranks(&job->plan, 2, all, 13, 99, 2), 26);
}

// Teams that share a node load a layer each, and get their part of what the node reads in a second.
static void teams_of_a_node_share_what_it_reads(void **state)
{
    struct machine one, two;
    machine_default(&one, 1);
    machine_default(&two, 2);
    const struct plan_estimate a = estimate_on(*state, &one), b = estimate_on(*state, &two);

    // Scores of four layers, two by each of two teams: as much to read, and as long.
    assert_close(b.stages[STAGE_SCORE].read, a.stages[STAGE_SCORE].read);
    assert_close(b.stages[STAGE_SCORE].parts[PART_READING], a.stages[STAGE_SCORE].parts[PART_READING]);
    assert_close(b.stages[STAGE_SCORE].parts[PART_ARITHMETIC],
                 a.stages[STAGE_SCORE].parts[PART_ARITHMETIC] / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_the_shapes),
        cmocka_unit_test(an_export_is_read_back),
        cmocka_unit_test(a_team_reads_the_checkpoint_once_whatever_its_nodes),
        cmocka_unit_test(arithmetic_goes_in_waves),
        cmocka_unit_test(parts_add_up_to_the_time),
        cmocka_unit_test(a_stage_that_waits_for_commits_has_no_use_for_many_nodes),
        cmocka_unit_test(nodes_without_work_read_nothing),
        cmocka_unit_test(fewer_ranks_with_threads_suit_a_short_last_wave),
        cmocka_unit_test(teams_are_formed_by_nodes_or_by_ranks),
        cmocka_unit_test(ranks_without_a_sequence_or_a_window_do_not_work),
        cmocka_unit_test(teams_of_a_node_share_what_it_reads)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
