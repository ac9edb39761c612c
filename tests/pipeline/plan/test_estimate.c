// What a plan moves and how long it takes, against numbers worked out by hand from the shapes of the
// demonstration's model: 4 layers, hidden 128, intermediate 344, keys and values 64, bfloat16.
#include "io/model/layer_map.h"
#include "io/model/open.h"
#include "pipeline/job/job.h"
#include "pipeline/plan/estimate.h"
#include "stages/stage.h"

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
static const double masks = 128 * 16 + 2 * 64 * 16 + 128 * 16 + 2 * 344 * 16 + 128 * 43;
static const double inputs = 6 * 128 + 344;
static const double layer_bytes = 2 * (128 * 128 + 2 * 64 * 128 + 128 * 128 + 3 * 344 * 128 + 2 * 128);
static const double hidden_states = (double)SEQUENCES * LENGTH * 128 * 4;

struct fixture {
    struct settings *settings;
    struct model *model;
    struct plan plan;
};

static int set_up(void **state)
{
    const char *source = getenv("COPPICE_SOURCE");
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct error err;
    char job[4096];

    assert_non_null(source);
    assert_non_null(fixture);
    snprintf(job, sizeof job,
             "model: %s/jobs/demo/kjv-llama-1m\nrun: /nonexistent/run\noutput: /nonexistent/models\n"
             "calibration: {corpus: %s/jobs/demo/train.jsonl, sequences: %d, length: %d}\n"
             "prune: {method: [wanda, cvr], sparsity: 0.5, propagation: dense}\n"
             "compensate: {energy: [columns, rows]}\n"
             "evaluate: {perplexity: %s/jobs/demo/test.jsonl}\n",
             source, source, SEQUENCES, LENGTH, source);
    if (job_parse(&fixture->settings, job, strlen(job), "job.yaml", &err) != STATUS_OK ||
        model_open(&fixture->model, fixture->settings->model, &err) != STATUS_OK ||
        plan_create(&fixture->plan, fixture->model, fixture->settings, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    plan_free(&fixture->plan);
    model_close(fixture->model);
    settings_free(fixture->settings);
    free(fixture);
    return 0;
}

static struct plan_estimate estimate_on(const struct fixture *fixture, const struct machine *machine)
{
    struct plan_estimate estimate;
    struct error err;
    if (plan_estimate(&estimate, &fixture->plan, machine, &err) != STATUS_OK)
        fail_msg("%s", err.message);
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
    const double statistics = LAYERS * 4 * sizeof(double) * inputs;

    // Every layer's outputs but the last one's; a file is read back once, its checksum and contents are read
    // later.
    assert_close(e.stages[STAGE_CALIBRATE].written, (LAYERS - 1) * hidden_states + statistics);
    assert_close(e.stages[STAGE_CALIBRATE].read,
                 LAYERS * layer_bytes + 3 * (LAYERS - 1) * hidden_states + statistics);
    assert_close(e.stages[STAGE_SCORE].written, 2 * LAYERS * masks);
    assert_close(e.stages[STAGE_COMPENSATE].written, 2 * LAYERS * weights * 2);
    // Each of the two ranks sends the other half of every vector, of 16 sequences, and then half of the
    // totals.
    const double vector = 3 * (3 * 128 + 344) * sizeof(double);
    assert_close(e.stages[STAGE_CALIBRATE].sent, LAYERS * (SEQUENCES + 2) * vector / 2);
}

static void every_node_reads_the_checkpoint_once(void **state)
{
    struct machine one, two;
    machine_default(&one, 2);
    machine_default(&two, 2);
    two.nodes = 2;
    const struct plan_estimate a = estimate_on(*state, &one), b = estimate_on(*state, &two);

    assert_close(b.stages[STAGE_CALIBRATE].read - a.stages[STAGE_CALIBRATE].read, LAYERS * layer_bytes);
    // Scoring splits the layers over the nodes: none is read twice.
    assert_close(b.stages[STAGE_SCORE].read, a.stages[STAGE_SCORE].read);
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
    machine_default(&machine, 4);
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

// Ranks that the phases of the plan have work for: calibration and the dense model's evaluation, scoring, and
// the variants' evaluation.
static void work_is_shared_out_by_sequences_windows_or_rows(void **state)
{
    const struct fixture *fixture = *state;
    const unsigned all = ~0U, calibrate = 1U << STAGE_CALIBRATE;
    assert_int_equal(plan_useful_ranks(&fixture->plan, 0, all, 13), SEQUENCES);
    assert_int_equal(plan_useful_ranks(&fixture->plan, 0, all, 99), 99);
    assert_int_equal(plan_useful_ranks(&fixture->plan, 0, calibrate, 99), SEQUENCES);
    assert_true(plan_useful_ranks(&fixture->plan, 1, all, 99) == SIZE_MAX);
    assert_int_equal(plan_useful_ranks(&fixture->plan, 2, all, 99), 99);
}

// What a token costs in a layer of routed experts: those that it visits, and everything else.
static void a_token_works_with_the_experts_that_it_visits(void **state)
{
    const char *source = getenv("COPPICE_SOURCE");
    char path[4096];
    struct model *model;
    struct layer_map map;
    struct error err;
    double expected = 0;
    (void)state;
    snprintf(path, sizeof path, "%s/tests/golden/families/mixtral", source);
    if (model_open(&model, path, &err) != STATUS_OK || layer_map_create(&map, model, 0, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    const struct decoder_config *config = &model->config.decoder;
    assert_true(config->num_experts > config->num_experts_per_tok && config->num_experts_per_tok > 0);
    for (size_t i = 0; i < map.num_tensors; i++) {
        const double size = (double)map.tensors[i].out * (double)map.tensors[i].in;
        if (strstr(map.tensors[i].linear, "experts.") != NULL)
            expected += 2 * size * (double)config->num_experts_per_tok / (double)config->num_experts;
        else if (map.tensors[i].linear[0] != '\0')
            expected += 2 * size;
    }
    expected += 2.0 * 10 * (double)(config->num_attention_heads * config->head_dim);
    assert_close(layer_forward_work(model, &map, 10), 10 * expected);
    layer_map_free(&map);
    model_close(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_the_shapes),
        cmocka_unit_test(every_node_reads_the_checkpoint_once),
        cmocka_unit_test(arithmetic_goes_in_waves),
        cmocka_unit_test(parts_add_up_to_the_time),
        cmocka_unit_test(a_stage_that_waits_for_commits_has_no_use_for_many_nodes),
        cmocka_unit_test(nodes_without_work_read_nothing),
        cmocka_unit_test(work_is_shared_out_by_sequences_windows_or_rows),
        cmocka_unit_test(a_token_works_with_the_experts_that_it_visits)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
