// The table of stages, and that a stage which is in it is planned, named and carried out by a command.
#include "pipeline/cli/commands.h"
#include "tests/support/planned_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

// Asks for all that a job can ask for.
static const char everything[] =
    "output: /nonexistent/models\n"
    "prune: {method: [wanda, sparsegpt, auto], sparsity: 0.5, allocation: [owl, dlp, measured], propagation: "
    "dense}\n"
    "compensate: {energy: [columns, rows], output: regression}\n"
    "evaluate: {perplexity: @/jobs/demo/test.jsonl, tasks: [@/tests/golden/tasks/boolq.jsonl]}\n";

// The rest: a budget stands instead of a sparsity.
static const char budget[] = "prune: {budget: {perplexity: 1.05}}\n";

static void every_stage_has_units_in_a_job_that_asks_for_everything(void **state)
{
    size_t units[STAGE_COUNT] = {0};
    struct planned_job job;
    (void)state;

    for (int j = 0; j < 2; j++) {
        planned_job_create(&job, j == 0 ? everything : budget);
        for (size_t i = 0; i < job.plan.num_units; i++)
            units[job.plan.units[i].stage]++;
        planned_job_free(&job);
    }
    for (int s = 0; s < STAGE_COUNT; s++)
        if (units[s] == 0)
            fail_msg("nothing plans the stage %s", stage_name((enum stage_kind)s));
}

static void every_stage_has_work_but_drawing_sequences(void **state)
{
    double work[STAGE_COUNT] = {0};
    struct planned_job job;
    (void)state;

    for (int j = 0; j < 2; j++) {
        planned_job_create(&job, j == 0 ? everything : budget);
        for (size_t i = 0; i < job.plan.num_units; i++)
            work[job.plan.units[i].stage] += job.plan.units[i].work;
        planned_job_free(&job);
    }
    for (int s = 0; s < STAGE_COUNT; s++)
        if (s != STAGE_SEQUENCES && s != STAGE_HELD_OUT && !(work[s] > 0))
            fail_msg("the stage %s has no work", stage_name((enum stage_kind)s));
}

static void every_stage_is_found_by_its_name(void **state)
{
    enum stage_kind found;
    (void)state;
    for (int s = 0; s < STAGE_COUNT; s++) {
        assert_true(stage_find(&found, stage_name((enum stage_kind)s)));
        assert_int_equal(found, s);
    }
    assert_false(stage_find(&found, "prune"));
}

static void every_stage_is_carried_out_by_a_command_that_there_is(void **state)
{
    (void)state;
    for (int s = 0; s < STAGE_COUNT; s++) {
        const struct command *command = command_find(stage_row((enum stage_kind)s)->command);
        assert_non_null(command);
        assert_int_equal(command->argument, ARGUMENT_JOB);
        assert_true(command->options & TAKES_RANKS);
    }
}

static void run_carries_out_all_stages_and_each_other_command_its_own(void **state)
{
    const char *names[STAGE_COUNT];
    const size_t count = stage_commands(names);
    unsigned seen = 0;
    (void)state;

    for (size_t c = 0; c < count; c++) {
        const unsigned stages = stages_of_command(names[c]);
        assert_int_equal(seen & stages, 0);
        seen |= stages;
    }
    assert_int_equal(seen, stages_of_command("run"));
    assert_int_equal(seen, (1U << STAGE_COUNT) - 1);
    assert_int_equal(stages_of_command("evaluate"),
                     1U << STAGE_ATTEMPT | 1U << STAGE_EVALUATE | 1U << STAGE_TASKS);
    assert_int_equal(stages_of_command("verify"), 0);
}

static void commands_wait_for_one_another_in_this_order(void **state)
{
    static const char *const order[] = {"calibrate", "score", "compensate", "evaluate", "export"};
    const char *names[STAGE_COUNT];
    (void)state;
    assert_int_equal(stage_commands(names), sizeof order / sizeof *order);
    for (size_t c = 0; c < sizeof order / sizeof *order; c++)
        assert_string_equal(names[c], order[c]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_stage_has_units_in_a_job_that_asks_for_everything),
        cmocka_unit_test(every_stage_has_work_but_drawing_sequences),
        cmocka_unit_test(every_stage_is_found_by_its_name),
        cmocka_unit_test(every_stage_is_carried_out_by_a_command_that_there_is),
        cmocka_unit_test(run_carries_out_all_stages_and_each_other_command_its_own),
        cmocka_unit_test(commands_wait_for_one_another_in_this_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
