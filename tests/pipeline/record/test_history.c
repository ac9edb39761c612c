// The log and the plan read back.
#include "pipeline/plan/record.h"
#include "pipeline/record/history.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LINE(time, process, rest) \
    "{\"time\":\"2026-02-03T04:05:" time "Z\",\"process\":\"" process "\",\"ranks\":4," rest "}\n"
#define UNIT(event, variant, layer, team, seconds)                                         \
    "\"event\":\"" event "\",\"stage\":\"score\",\"variant\":" variant ",\"layer\":" layer \
    ",\"seconds\":" seconds ",\"skipped\":3,\"team\":" team                                \
    ",\"first_rank\":2,\"team_ranks\":2,\"node\":\"n1\""

static int set_up(void **state)
{
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

static struct history read_log(const char *folder, const char *text)
{
    struct history history;
    struct error err = {0};
    write_text(folder, "log.jsonl", text);
    assert_ok(history_read(&history, folder, &err), err);
    return history;
}

static void a_run_without_a_log_has_no_history(void **state)
{
    struct history history;
    struct error err = {0};
    assert_ok(history_read(&history, *state, &err), err);
    assert_int_equal(history.num_units + history.num_begun + history.num_starts, 0);
    history_free(&history);
}

static void times_are_seconds_of_utc(void **state)
{
    (void)state;
    assert_true(history_time("1970-01-02T00:00:01.250Z") == 86401.25);
    assert_true(history_time("2026-02-03T04:05:06Z") == 1770091506.0); // date -u -d ... +%s
    assert_true(history_time("yesterday") == 0);
    assert_true(history_time(NULL) == 0);
}

static void what_is_begun_and_not_done_is_in_hand(void **state)
{
    struct history history = read_log(
        *state, LINE("01", "h:1", "\"event\":\"start\",\"command\":\"run\"")
                    LINE("02", "h:1", UNIT("begin", "\"a\"", "0", "0", "0"))
                        LINE("03", "h:1", UNIT("begin", "\"b\"", "1", "1", "0"))
                            LINE("04.5", "h:1", UNIT("unit", "\"a\"", "0", "0", "2.5"))
                                LINE("05", "h:1", UNIT("begin", "null", "-1", "0", "0")) "{\"time\":\"20");
    assert_int_equal(history.num_starts, 1);
    assert_int_equal(history.starts[0].ranks, 4);
    assert_true(history.starts[0].end == 0);
    assert_int_equal(history.num_units, 1);
    assert_string_equal(history.units[0].variant, "a");
    assert_true(history.units[0].seconds == 2.5);
    assert_true(history.units[0].skipped == 3);
    assert_int_equal(history.units[0].team_ranks, 2);
    assert_int_equal(history.units[0].first_rank, 2);
    assert_int_equal(history.num_begun, 2);
    assert_string_equal(history.begun[0].variant, "b");
    assert_int_equal(history.begun[0].layer, 1);
    assert_string_equal(history.begun[0].node, "n1");
    assert_string_equal(history.begun[1].variant, "dense");
    assert_int_equal(history.begun[1].layer, -1);
    history_free(&history);
}

static void a_start_that_ended_has_nothing_in_hand_and_others_do(void **state)
{
    struct history history = read_log(
        *state, LINE("01", "h:1", "\"event\":\"start\",\"command\":\"run\"")
                    LINE("01", "h:2", "\"event\":\"start\",\"command\":\"run\"")
                        LINE("02", "h:1", UNIT("begin", "\"a\"", "0", "0", "0"))
                            LINE("03", "h:2", UNIT("begin", "\"b\"", "0", "0", "0"))
                                LINE("04", "h:1", "\"event\":\"end\",\"exit_code\":75,\"message\":\"m\""));
    assert_int_equal(history.num_begun, 1);
    assert_string_equal(history.begun[0].process, "h:2");
    assert_int_equal(history.starts[0].exit_code, 75);
    assert_string_equal(history.starts[0].message, "m");
    assert_true(history.starts[0].end > history.starts[0].time);
    assert_true(history.starts[1].end == 0);
    history_free(&history);
}

static void a_killed_start_loses_what_it_had_in_hand_to_the_next(void **state)
{
    struct history history = read_log(*state, LINE("01", "h:1", "\"event\":\"start\"")
                                                  LINE("02", "h:1", UNIT("begin", "\"a\"", "0", "0", "0"))
                                                      LINE("03", "h:1", "\"event\":\"start\""));
    assert_int_equal(history.num_begun, 0);
    assert_int_equal(history.num_starts, 2);
    history_free(&history);
}

#define START(process, job) \
    LINE("01", process, "\"event\":\"start\",\"command\":\"run\",\"slurm_job\":\"" job "\"")
#define END(process, code, futile) \
    LINE("02", process, "\"event\":\"end\",\"exit_code\":" code ",\"futile\":" futile)
#define KEPT(process, event) LINE("01", process, "\"event\":\"" event "\"")

static void a_second_stop_without_anything_committed_is_seen(void **state)
{
    static const struct {
        const char *log;
        bool futile; // of job 7
    } cases[] = {
        {START("h:1", "7"), false},
        {START("h:1", "7") END("h:1", "75", "true"), true},
        {START("h:1", "7") END("h:1", "75", "false"), false}, // by Ctrl-C
        // What has been committed since counts, a unit or a part of one, also by a start that was killed.
        {START("h:1", "7") KEPT("h:1", "unit") END("h:1", "75", "true"), false},
        {START("h:1", "7") END("h:1", "75", "true") START("h:2", "7") KEPT("h:2", "part"), false},
        {START("h:1", "7") KEPT("h:1", "part") START("h:2", "7") END("h:2", "75", "true"), true},
        // One that was killed, or had nothing to do, says nothing.
        {START("h:1", "7") END("h:1", "75", "true") START("h:2", "7"), true},
        {START("h:1", "7") END("h:1", "75", "true") START("h:2", "7") END("h:2", "0", "false"), true},
        {START("h:1", "7") END("h:1", "1", "false"), false},
        // Others do not count.
        {START("h:1", "8") END("h:1", "75", "true"), false},
        {START("h:1", "7") END("h:1", "75", "true") START("h:2", "8") KEPT("h:2", "unit"), true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct history history = read_log(*state, cases[i].log);
        if (history_ends_futile(&history, "run", "7") != cases[i].futile)
            fail_msg("case %zu", i);
        assert_false(history_ends_futile(&history, "evaluate", "7"));
        assert_false(history_ends_futile(&history, "run", ""));
        history_free(&history);
    }
}

static void lines_that_are_no_events_are_skipped(void **state)
{
    struct history history = read_log(*state, "\n[1]\n{\"event\":3}\nnonsense\n{\"event\":\"damaged\"}\n"
                                              "{\"event\":\"unit\"}\n");
    assert_int_equal(history.num_units, 1); // with nothing in it
    assert_int_equal(history.units[0].layer, -1);
    assert_int_equal(history.units[0].team_ranks, 1);
    history_free(&history);
}

// ---- the plan -------------------------------------------------------------------------------------------

static struct variant variants[2] = {{.name = "a"}, {.name = "b"}};
static struct text_settings texts[] = {{.data = "t.txt", .name = "t", .is_plain = true}};
static struct settings settings = {.num_variants = 2, .variants = variants, .num_texts = 1, .texts = texts};
static struct unit units[] = {
    {.stage = STAGE_SEQUENCES, .layer = NO_LAYER},
    {.stage = STAGE_CALIBRATE, .layer = 0, .work = 100},
    {.stage = STAGE_CALIBRATE, .layer = 1, .work = 300},
    {.stage = STAGE_SCORE, .variant = &variants[0], .layer = 0, .phase = 1, .work = 8},
    {.stage = STAGE_SCORE, .variant = &variants[0], .layer = 1, .phase = 1, .chain = 1, .work = 8},
    {.stage = STAGE_SCORE, .variant = &variants[1], .layer = 0, .phase = 1, .work = 8},
    {.stage = STAGE_EVALUATE, .variant = &variants[1], .layer = NO_LAYER, .phase = 2, .work = 50}};
enum { NUM_UNITS = sizeof units / sizeof *units };
static const struct plan plan = {.settings = &settings, .num_units = NUM_UNITS, .units = units, .work = 474};

static void a_plan_comes_back_from_its_record(void **state)
{
    struct plan again;
    struct error err = {0};
    json_t *json = plan_to_json(&plan);
    (void)state;
    assert_ok(plan_from_json(&again, &settings, json, "plan.json", &err), err);
    assert_int_equal(again.num_units, NUM_UNITS);
    assert_true(again.work == plan.work);
    for (size_t i = 0; i < NUM_UNITS; i++) {
        assert_int_equal(again.units[i].stage, units[i].stage);
        assert_ptr_equal(again.units[i].variant, units[i].variant);
        assert_int_equal(again.units[i].layer, units[i].layer);
        assert_true(again.units[i].work == units[i].work);
    }
    plan_free(&again);
    json_decref(json);
}

static void a_record_of_another_run_is_refused(void **state)
{
    struct settings fewer = settings;
    struct plan again;
    struct error err = {0};
    json_t *json = plan_to_json(&plan);
    (void)state;
    fewer.num_variants = 1;
    assert_int_equal(plan_from_json(&again, &fewer, json, "plan.json", &err), STATUS_DAMAGED);
    assert_error(err, STATUS_DAMAGED, "plan.json: score of b");
    json_object_set_new(json, "format", json_integer(7));
    assert_int_equal(plan_from_json(&again, &settings, json, "plan.json", &err), STATUS_DAMAGED);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_run_without_a_log_has_no_history, set_up, tear_down),
        cmocka_unit_test(times_are_seconds_of_utc),
        cmocka_unit_test_setup_teardown(what_is_begun_and_not_done_is_in_hand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_start_that_ended_has_nothing_in_hand_and_others_do, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_killed_start_loses_what_it_had_in_hand_to_the_next, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_second_stop_without_anything_committed_is_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lines_that_are_no_events_are_skipped, set_up, tear_down),
        cmocka_unit_test(a_plan_comes_back_from_its_record),
        cmocka_unit_test(a_record_of_another_run_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
