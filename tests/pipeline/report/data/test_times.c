// The table of ranks is made from a log, which says anything.
#include "pipeline/report/data/times.h"

#include "io/file/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct history_unit unit_of(size_t first, size_t ranks, const char *stage, double seconds)
{
    struct history_unit unit = {.first_rank = first, .team_ranks = ranks, .seconds = seconds, .layer = -1};
    strcpy(unit.process, "p");
    strcpy(unit.stage, stage);
    return unit;
}

static double seconds_at(const json_t *times, size_t row, const char *stage)
{
    return json_number_value(json_object_get(json_object_get(json_array_get(times, row), "seconds"), stage));
}

static void a_rank_has_what_its_teams_worked(void **state)
{
    struct history_unit units[] = {unit_of(0, 2, "score", 1), unit_of(2, 1, "score", 4),
                                   unit_of(0, 2, "calibrate", 8), unit_of(0, 2, "score", 2),
                                   unit_of(1, 2, "score", 16)};
    const struct history history = {.num_units = 5, .units = units};
    (void)state;

    json_t *times = times_to_json(&history);
    assert_int_equal(json_array_size(times), 3);
    const double score[] = {3, 19, 20}, calibrate[] = {8, 8, 0};
    for (size_t r = 0; r < 3; r++) {
        assert_int_equal(json_integer_value(json_object_get(json_array_get(times, r), "rank")), r);
        assert_true(seconds_at(times, r, "score") == score[r]);
        assert_true(seconds_at(times, r, "calibrate") == calibrate[r]);
    }
    json_decref(times);
}

static void ranks_that_no_world_has_are_left_out(void **state)
{
    struct history_unit units[] = {unit_of(0, 100000000, "score", 1), unit_of(0, SIZE_MAX, "score", 1),
                                   unit_of(0, LIMIT_REPORT_RANKS, "score", 1),
                                   unit_of(LIMIT_REPORT_RANKS, 1, "score", 1)};
    struct history history = {.num_units = 4, .units = units};
    (void)state;

    json_t *times = times_to_json(&history);
    assert_int_equal(json_array_size(times), LIMIT_REPORT_RANKS); // and no room is left for the last
    json_decref(times);
    history.num_units = 2;
    times = times_to_json(&history);
    assert_int_equal(json_array_size(times), 0);
    json_decref(times);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rank_has_what_its_teams_worked),
        cmocka_unit_test(ranks_that_no_world_has_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
