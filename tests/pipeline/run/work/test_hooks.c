// hooks.h: when a unit in hand is dropped, and what the stages say.
#include "pipeline/run/work/hooks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double time_now;

static double own_clock(void)
{
    return time_now;
}

struct fixture {
    struct stop stop;
    struct alarm alarm; // of one rank: never heard
    struct journal journal;
    struct run_hooks hooks;
    struct stage_hooks stage;
};

// Level 1 begins at 100, level 2 at 150 of the fixture's clock; the unit in hand began `elapsed` seconds ago.
static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->stop = (struct stop){.clock = own_clock, .first = 100, .second = 150};
    time_now = 0;
    f->hooks = (struct run_hooks){.stop = &f->stop, .alarm = &f->alarm, .journal = &f->journal, .grace = 20};
    f->stage = stage_hooks_of(&f->hooks);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    free(*state);
    return 0;
}

static bool should_stop(struct fixture *f, double elapsed, double fraction)
{
    f->hooks.unit_started = stop_clock() - elapsed;
    return f->stage.should_stop(f->stage.context, fraction);
}

static void nothing_stops_a_program_that_was_not_told(void **state)
{
    struct fixture *f = *state;
    assert_false(should_stop(f, 1000, 0));
    assert_false(should_stop(f, 1000, 0.01));
    assert_false(hooks_are_stopped(&f->hooks));
}

static void once_told_a_unit_that_is_soon_done_is_finished(void **state)
{
    struct fixture *f = *state;
    time_now = 120;
    assert_true(hooks_are_stopped(&f->hooks)); // no other one is begun
    // A quarter is done: three times as long is left, of 20 seconds.
    assert_false(should_stop(f, 6, 0.25));
    assert_true(should_stop(f, 7, 0.25));
    assert_false(should_stop(f, 1000, 0.99));
    // Nothing can be told of one that has not moved: it gets the grace itself.
    assert_false(should_stop(f, 19, 0));
    assert_true(should_stop(f, 21, 0));
}

static void told_twice_it_is_dropped(void **state)
{
    struct fixture *f = *state;
    time_now = 150;
    assert_true(should_stop(f, 0, 0.999));
}

static void grace_is_half_the_margin_of_a_time_limit(void **state)
{
    (void)state;
    assert_true(stop_grace(3600, 60) == 30);
    assert_true(stop_grace(0, 60) == 20);
}

static void work_counts_up_to_the_plan_and_notices_are_shown(void **state)
{
    struct fixture *f = *state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    assert_non_null(out);
    progress_begin(&f->journal.progress, 100, PROGRESS_NONE, out);
    hooks_found_unit(&f->hooks, 10);
    hooks_begin_unit(&f->hooks, 20, 0);
    (f->stage.skip)(f->stage.context, 2);
    f->stage.advance(f->stage.context, 7);
    assert_true(f->journal.progress.done == 19 && f->journal.progress.earlier == 12);
    assert_true(f->hooks.unit_skipped == 2);
    f->stage.advance(f->stage.context, 70); // more than the plan knows of
    assert_true(f->journal.progress.done == 30 && f->hooks.unit_counted == 77);
    hooks_end_unit(&f->hooks);
    hooks_begin_unit(&f->hooks, 5, 0);
    f->stage.advance(f->stage.context, 1); // less
    hooks_end_unit(&f->hooks);
    assert_true(f->journal.progress.done == 35 && f->hooks.unit_counted == 1);
    assert_true(f->hooks.own[HEADWAY_DONE] == 35 && f->hooks.own[HEADWAY_EARLIER] == 12);
    f->stage.notice(f->stage.context, "few tokens");
    progress_end(&f->journal.progress);
    fclose(out);
    assert_non_null(strstr(text, "few tokens\n"));
    free(text);
}

static void what_an_earlier_start_kept_of_a_unit_is_counted_once(void **state)
{
    struct fixture *f = *state;

    progress_begin(&f->journal.progress, 20, PROGRESS_NONE, NULL);
    progress_skip(&f->journal.progress, 8); // before the first unit, by found_count
    hooks_begin_unit(&f->hooks, 12, 8);
    (f->stage.skip)(f->stage.context, 5);
    assert_true(f->journal.progress.done == 8 && f->hooks.unit_skipped == 5);
    (f->stage.skip)(f->stage.context, 4); // one more than was counted
    assert_true(f->journal.progress.done == 9 && f->journal.progress.earlier == 9);
    assert_true(f->hooks.unit_skipped == 9 && f->hooks.unit_left == 11);
    f->stage.advance(f->stage.context, 11);
    hooks_end_unit(&f->hooks);
    assert_true(f->journal.progress.done == 20 && f->journal.progress.earlier == 9);
    progress_end(&f->journal.progress);
}

// The clock of the fixture is that of the stop; progress has its own.
static double progress_time;

static double progress_clock_of_test(void *data)
{
    (void)data;
    return progress_time;
}

static void safe_points_keep_progress_alive(void **state)
{
    struct fixture *f = *state;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    progress_time = 0;
    progress_begin_with_clock(&f->journal.progress, 100, PROGRESS_LINES, out, progress_clock_of_test, NULL);
    progress_unit(&f->journal.progress, "evaluate", NULL, 0, 0);
    fflush(out);
    const size_t before = size;
    progress_time = 31;
    (void)f->stage.should_stop(f->stage.context, 0);
    fflush(out);
    assert_true(size > before);
    progress_end(&f->journal.progress);
    fclose(out);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_stops_a_program_that_was_not_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(once_told_a_unit_that_is_soon_done_is_finished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(told_twice_it_is_dropped, set_up, tear_down),
        cmocka_unit_test(grace_is_half_the_margin_of_a_time_limit),
        cmocka_unit_test_setup_teardown(work_counts_up_to_the_plan_and_notices_are_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_an_earlier_start_kept_of_a_unit_is_counted_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(safe_points_keep_progress_alive, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
