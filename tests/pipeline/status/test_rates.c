// rates.h: how fast stages were, from the units that the log tells of.
#include "pipeline/status/rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { UNITS = 8 };

static struct variant a = {.name = "a"};
static struct task_settings tasks[] = {{.name = "boolq"}, {.name = "arc"}};
static const struct settings settings = {.num_tasks = 2, .tasks = tasks, .num_variants = 1, .variants = &a};
static struct unit units[UNITS] = {
    {.stage = STAGE_SEQUENCES, .layer = NO_LAYER},
    {.stage = STAGE_CALIBRATE, .layer = 0, .work = 200},
    {.stage = STAGE_CALIBRATE, .layer = 1, .work = 200},
    {.stage = STAGE_SCORE, .variant = &a, .layer = 0, .work = 8},
    {.stage = STAGE_SCORE, .variant = &a, .layer = 1, .work = 8},
    {.stage = STAGE_TASKS, .layer = NO_LAYER, .work = 30, .task = 0},
    {.stage = STAGE_TASKS, .layer = NO_LAYER, .work = 50, .task = 1},
    {.stage = STAGE_EVALUATE, .variant = &a, .layer = NO_LAYER, .work = 60},
};
static const struct plan plan = {.settings = &settings, .num_units = UNITS, .units = units};

static struct history_unit event(const char *stage, const char *variant, long layer, double seconds,
                                 size_t ranks)
{
    struct history_unit unit = {.layer = layer, .seconds = seconds, .team_ranks = ranks};
    strcpy(unit.stage, stage);
    strcpy(unit.variant, variant);
    return unit;
}

static const struct plan nothing;

static struct rates measure(struct history_unit *events, size_t count)
{
    const struct history history = {.num_units = count, .units = events};
    struct rates rates;
    rates_measure(&rates, &history, &plan, &nothing);
    return rates;
}

static void units_of_earlier_jobs_count_as_well(void **state)
{
    struct history_unit e = event("score", "a", 1, 2, 1);
    const struct history history = {.num_units = 1, .units = &e};
    struct rates rates;
    (void)state;
    rates_measure(&rates, &history, &nothing, &plan);
    assert_true(rates.any > 0 && rates.any == rates.of_stage[STAGE_SCORE]);
}

// ---- which unit ------------------------------------------------------------------------------------------

static void an_event_is_about_one_unit_of_the_plan(void **state)
{
    struct history_unit e = event("score", "a", 1, 1, 1);
    (void)state;
    assert_ptr_equal(rates_unit(&plan, &e), &units[4]);
    e = event("calibrate", "dense", 1, 1, 1);
    assert_ptr_equal(rates_unit(&plan, &e), &units[2]);
    e = event("evaluate", "a", -1, 1, 1);
    assert_ptr_equal(rates_unit(&plan, &e), &units[7]);
    e = event("tasks", "dense", -1, 1, 1);
    strcpy(e.task, "arc");
    assert_ptr_equal(rates_unit(&plan, &e), &units[6]);
}

static void an_event_of_another_plan_is_about_none(void **state)
{
    struct history_unit e = event("score", "b", 1, 1, 1);
    (void)state;
    assert_null(rates_unit(&plan, &e));
    e = event("score", "a", 2, 1, 1);
    assert_null(rates_unit(&plan, &e));
    e = event("calibrate", "a", 1, 1, 1);
    assert_null(rates_unit(&plan, &e));
    e = event("tasks", "dense", -1, 1, 1);
    strcpy(e.task, "winogrande");
    assert_null(rates_unit(&plan, &e));
    e = event("a stage of later", "a", 1, 1, 1);
    assert_null(rates_unit(&plan, &e));
}

static double rate_of(const struct rates *rates, enum stage_kind stage, double work)
{
    const struct unit unit = {.stage = stage, .work = work};
    return rates_of(rates, &unit);
}

// ---- how fast --------------------------------------------------------------------------------------------

static void rates_are_of_one_rank_and_of_the_nearest_stage(void **state)
{
    struct history_unit events[] = {event("calibrate", "dense", 0, 5, 2),
                                    event("calibrate", "dense", 1, 5, 2), event("score", "a", 0, 2, 1),
                                    event("score", "of another plan", 0, 99, 1)};
    const struct rates rates = measure(events, 4);
    (void)state;
    assert_true(rate_of(&rates, STAGE_CALIBRATE, 100) == 20); // 400 in 10 seconds of 2 ranks
    assert_true(rate_of(&rates, STAGE_SCORE, 8) == 4);
    assert_true(rate_of(&rates, STAGE_EVALUATE, 100) == 20); // passes sequences through layers, too
    assert_true(rate_of(&rates, STAGE_PROPAGATE, 100) == 20);
    assert_true(rate_of(&rates, STAGE_COMPENSATE, 100) == 408.0 / 22);
}

// The seconds are of this start, and so is the work.
static void what_an_earlier_start_did_of_a_unit_does_not_count(void **state)
{
    struct history_unit events[] = {event("evaluate", "a", -1, 5, 1)};
    (void)state;
    events[0].skipped = 40;
    struct rates rates = measure(events, 1);
    assert_true(rate_of(&rates, STAGE_EVALUATE, 20) == 20 / 5.0);
    events[0].skipped = 60;
    rates = measure(events, 1);
    assert_true(rates.any == 0);
}

// Scoring by a simple method, all overhead, says nothing of scoring that solves equations.
static void small_units_say_nothing_of_large_ones(void **state)
{
    struct history_unit events[] = {event("calibrate", "dense", 0, 5, 2), event("score", "a", 0, 2, 1)};
    const struct rates rates = measure(events, 2);
    (void)state;
    assert_true(rate_of(&rates, STAGE_SCORE, 8 * 8) == 4); // the measured unit's work is 8
    assert_true(rate_of(&rates, STAGE_SCORE, 8 * 8 + 1) == 208.0 / 12);
    assert_true(rate_of(&rates, STAGE_CALIBRATE, 1) == 20);
}

static void stages_that_pass_sequences_are_taken_together(void **state)
{
    struct history_unit events[] = {event("calibrate", "dense", 0, 5, 1), event("evaluate", "a", -1, 8, 1)};
    const struct rates rates = measure(events, 2);
    (void)state;
    assert_true(rate_of(&rates, STAGE_CALIBRATE, 100) == 200.0 / 5);
    assert_true(rate_of(&rates, STAGE_PROPAGATE, 100) == 260.0 / 13);
    assert_true(rate_of(&rates, STAGE_SCORE, 100) == 260.0 / 13); // nothing nearer
}

static void only_the_newest_64_units_of_a_stage_count(void **state)
{
    struct history_unit events[64 + 3];
    (void)state;
    for (size_t i = 0; i < 3; i++)
        events[i] = event("score", "a", 0, 1000, 1); // of an earlier start on a slow machine
    for (size_t i = 3; i < 64 + 3; i++)
        events[i] = event("score", "a", 1, 2, 1);
    struct rates rates = measure(events, 64 + 3);
    assert_true(rate_of(&rates, STAGE_SCORE, 8) == 4);
    rates = measure(events, 64 + 2); // one of the old is among the newest 64
    assert_true(rate_of(&rates, STAGE_SCORE, 100) == 64 * 8 / (63 * 2 + 1000.0));
}

// Calibration is known, scoring not: it goes at the rate of all.
static void what_is_left_takes_the_time_of_its_stages(void **state)
{
    static const double done[UNITS] = {1, 1, 0, 1, 0, 1, 1, 0}, half[UNITS] = {1, 1, 0, 1, 0, 1, 1, 0.5};
    struct history_unit events[] = {event("calibrate", "dense", 0, 5, 2), event("score", "a", 0, 2, 1)};
    const unsigned every = stages_of_command("run");
    struct rates rates = measure(events, 2);
    (void)state;
    assert_true(rates_seconds(&rates, &plan, every, done) == 200.0 / 20 + 8.0 / 4 + 60.0 / 20);
    assert_true(rates_seconds(&rates, &plan, every, half) == 200.0 / 20 + 8.0 / 4 + 30.0 / 20);
    assert_true(rates_seconds(&rates, &plan, 1U << STAGE_SCORE, done) == 8.0 / 4);
    assert_true(rates_seconds(&rates, &plan, every, NULL) == 400.0 / 20 + 16.0 / 4 + 140.0 / 20);
    rates = measure(events, 0);
    assert_true(rates_seconds(&rates, &plan, every, NULL) == 0);
}

static void units_without_a_time_and_an_empty_log_say_nothing(void **state)
{
    struct history_unit events[] = {event("score", "a", 0, 0, 1), event("score", "a", 1, -1, 1)};
    struct rates rates = measure(events, 2);
    (void)state;
    for (int s = 0; s < STAGE_COUNT; s++)
        assert_true(rate_of(&rates, (enum stage_kind)s, 1) == 0);
    rates = measure(events, 0);
    for (int s = 0; s < STAGE_COUNT; s++)
        assert_true(rate_of(&rates, (enum stage_kind)s, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_of_earlier_jobs_count_as_well),
        cmocka_unit_test(an_event_is_about_one_unit_of_the_plan),
        cmocka_unit_test(an_event_of_another_plan_is_about_none),
        cmocka_unit_test(rates_are_of_one_rank_and_of_the_nearest_stage),
        cmocka_unit_test(what_an_earlier_start_did_of_a_unit_does_not_count),
        cmocka_unit_test(small_units_say_nothing_of_large_ones),
        cmocka_unit_test(stages_that_pass_sequences_are_taken_together),
        cmocka_unit_test(only_the_newest_64_units_of_a_stage_count),
        cmocka_unit_test(what_is_left_takes_the_time_of_its_stages),
        cmocka_unit_test(units_without_a_time_and_an_empty_log_say_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
