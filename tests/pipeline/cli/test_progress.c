// Progress: what a terminal and a log get to see, at which moments. The clock is the test's.
#include "pipeline/cli/progress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct progress progress;
    double now;
    FILE *out;
    char *text;
    size_t size, taken;
};

static double clock_of_fixture(void *data)
{
    return *(double *)data;
}

static void begin(struct fixture *f, double total, enum progress_mode mode)
{
    *f = (struct fixture){.now = 1000};
    f->out = open_memstream(&f->text, &f->size);
    progress_begin_with_clock(&f->progress, total, mode, f->out, clock_of_fixture, &f->now);
    f->progress.columns = 80;
}

static void end(struct fixture *f)
{
    progress_end(&f->progress);
    fclose(f->out);
    free(f->text);
}

// The text written since the last call.
static const char *news(struct fixture *f)
{
    fflush(f->out);
    const char *text = f->text + f->taken;
    f->taken = f->size;
    return text;
}

static size_t count_of(const char *text, const char *what)
{
    size_t count = 0;
    for (text = strstr(text, what); text != NULL; text = strstr(text + strlen(what), what))
        count++;
    return count;
}

// ---- lines ---------------------------------------------------------------------------------------------

static void the_first_unit_gives_a_line(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_LINES);
    assert_string_equal(news(&f), "");
    progress_unit(&f.progress, "calibrate", "wanda-0.5", 2, 32);
    assert_string_equal(news(&f),
                        "  0.0 %  00:00:00 elapsed, --:--:-- left  calibrate wanda-0.5 layer 3/32\n");
    end(&f);
}

static void a_unit_may_lack_variant_and_layer(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_LINES);
    progress_unit(&f.progress, "sequences", NULL, 0, 0);
    assert_string_equal(f.progress.unit, "sequences");
    progress_unit(&f.progress, "evaluate", "dense", 0, 0);
    assert_string_equal(f.progress.unit, "evaluate dense");
    progress_unit(&f.progress, "calibrate", NULL, 0, 2);
    assert_string_equal(f.progress.unit, "calibrate layer 1/2");
    end(&f);
}

static void lines_are_ten_seconds_and_five_per_cent_apart(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_LINES);
    progress_unit(&f.progress, "score", NULL, 0, 4);
    news(&f);

    f.now += 9.9;
    progress_advance(&f.progress, 50);
    assert_string_equal(news(&f), ""); // much done, but too soon

    f.now += 0.2;
    progress_advance(&f.progress, 1);
    assert_string_equal(news(&f), " 51.0 %  00:00:10 elapsed, 00:00:10 left  score layer 1/4\n");

    f.now += 11;
    progress_advance(&f.progress, 4.9);
    assert_string_equal(news(&f), ""); // late enough, but little done
    progress_advance(&f.progress, 0.2);
    assert_int_equal(count_of(news(&f), "\n"), 1);
    end(&f);
}

static void nothing_is_silent_for_more_than_half_a_minute(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 1e6, PROGRESS_LINES);
    progress_unit(&f.progress, "score", NULL, 0, 4);
    news(&f);
    f.now += 29;
    progress_advance(&f.progress, 1);
    progress_beat(&f.progress);
    assert_string_equal(news(&f), "");

    // Also while no work is finished
    f.now += 1;
    progress_beat(&f.progress);
    assert_int_equal(count_of(news(&f), "\n"), 1);
    progress_beat(&f.progress);
    assert_string_equal(news(&f), "");
    end(&f);
}

static void a_new_stage_gives_a_line(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 1e6, PROGRESS_LINES);
    progress_unit(&f.progress, "score", "wanda-0.5", 0, 4);
    news(&f);
    f.now += 11;
    progress_unit(&f.progress, "score", "wanda-0.6", 1, 4);
    assert_string_equal(news(&f), ""); // the same stage
    progress_unit(&f.progress, "propagate", "wanda-0.6", 1, 4);
    assert_non_null(strstr(news(&f), "  propagate wanda-0.6 layer 2/4\n"));

    // The first time at once, later only when the last line is ten seconds old: then at the next occasion
    f.now += 1;
    progress_unit(&f.progress, "evaluate", "wanda-0.6", 0, 0);
    assert_non_null(strstr(news(&f), "  evaluate wanda-0.6\n"));
    f.now += 9;
    progress_unit(&f.progress, "score", "wanda-0.6", 2, 4);
    assert_string_equal(news(&f), "");
    f.now += 2;
    progress_beat(&f.progress);
    assert_non_null(strstr(news(&f), "  score wanda-0.6 layer 3/4\n"));
    end(&f);
}

static void a_fast_job_gives_a_first_and_a_last_line(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_LINES);
    for (int i = 0; i < 100; i++) {
        progress_unit(&f.progress, "score", "ria-0.5", (size_t)i, 100);
        f.now += 0.01;
        progress_advance(&f.progress, 1);
    }
    progress_end(&f.progress);
    assert_string_equal(news(&f), "  0.0 %  00:00:00 elapsed, --:--:-- left  score ria-0.5 layer 1/100\n"
                                  "100.0 %  00:00:01 elapsed, 00:00:00 left  score ria-0.5 layer 100/100\n");
    end(&f);
}

static void the_last_line_of_a_stopped_job_says_how_far_it_came(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_LINES);
    progress_unit(&f.progress, "score", NULL, 0, 4);
    f.now += 5;
    progress_advance(&f.progress, 99.99);
    news(&f);
    progress_end(&f.progress);
    assert_memory_equal(news(&f), " 99.9 %", 7); // never 100 % before the end
    progress_end(&f.progress);
    progress_message(&f.progress, "after the end");
    progress_advance(&f.progress, 1);
    assert_string_equal(news(&f), "");
    end(&f);
}

static void without_a_unit_there_is_no_line(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 0, PROGRESS_LINES);
    progress_end(&f.progress);
    assert_string_equal(news(&f), "");
    end(&f);
}

// ---- the bar -------------------------------------------------------------------------------------------

static void the_bar_is_one_line_redrawn(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_BAR);
    progress_unit(&f.progress, "score", NULL, 0, 4);
    assert_string_equal(
        news(&f), "\rscore layer 1/4 [                    ]   0.0 %  00:00:00 elapsed, --:--:-- left\033[K");
    f.now += 10;
    progress_advance(&f.progress, 50);
    assert_string_equal(
        news(&f), "\rscore layer 1/4 [##########          ]  50.0 %  00:00:10 elapsed, 00:00:10 left\033[K");
    f.now += 10;
    progress_advance(&f.progress, 50);
    progress_end(&f.progress);
    const char *text = news(&f);
    assert_int_equal(count_of(text, "\n"), 1);
    assert_string_equal(text + strlen(text) - 1, "\n");
    assert_int_equal(count_of(text, "[####################] 100.0 %"), 2);
    end(&f);
}

static void the_bar_is_drawn_at_most_five_times_a_second(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 1000, PROGRESS_BAR);
    for (int i = 0; i < 1000;
         i++) { // one second in steps of 1 ms, in binary fractions so that sums are exact
        f.now = 1000 + i / 1024.0;
        progress_unit(&f.progress, "score", NULL, 0, 4);
        progress_advance(&f.progress, 1);
    }
    const size_t drawn = count_of(news(&f), "\r");
    assert_true(drawn >= 4 && drawn <= 5);
    end(&f);
}

static void messages_do_not_tear_the_bar(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_BAR);
    progress_message(&f.progress, "before %s", "all");
    assert_string_equal(news(&f), "before all\n");
    progress_unit(&f.progress, "score", NULL, 0, 4);
    const char *bar = news(&f);
    char expected[512];
    snprintf(expected, sizeof expected, "\r\033[Kwith 1 bar\n%s", bar);
    progress_message(&f.progress, "with %d bar", 1);
    assert_string_equal(news(&f), expected);
    end(&f);
}

static void the_bar_never_wraps(void **state)
{
    struct fixture f;
    (void)state;
    for (size_t columns = 1; columns < 200; columns++) {
        begin(&f, 1e15, PROGRESS_BAR);
        f.progress.columns = columns;
        f.progress.work_name = "flop";
        progress_skip(&f.progress, 1e12);
        progress_unit(&f.progress, "calibrate", "cvr-alpha0.25-2of4-columns-rows", 31, 32);
        f.now += 100;
        progress_advance(&f.progress, 123456789e5);
        const char *text = news(&f);
        for (const char *line = strtok(f.text, "\r"); line != NULL; line = strtok(NULL, "\r"))
            assert_true(strcspn(line, "\033") < columns || columns == 1);
        (void)text;
        end(&f);
    }
}

static void a_narrow_terminal_loses_the_amounts_before_the_bar(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 4e12, PROGRESS_BAR);
    f.progress.work_name = "flop";
    f.now += 10;
    progress_skip(&f.progress, 0);
    f.progress.done = 1e12;
    f.progress.columns = 120;
    progress_unit(&f.progress, "score", NULL, 0, 4);
    assert_non_null(strstr(news(&f), "1 Tflop of 4 Tflop, 100 Gflop/s, 00:00:10 elapsed, 00:00:30 left"));
    f.now += 1;
    f.progress.columns = 80;
    progress_unit(&f.progress, "score", NULL, 1, 4);
    const char *text = news(&f);
    assert_null(strstr(text, "flop"));
    assert_non_null(strstr(text, "[####"));
    assert_non_null(strstr(text, "left"));
    end(&f);
}

// ---- amounts and time ----------------------------------------------------------------------------------

static void amounts_have_three_digits_and_a_prefix(void **state)
{
    static const struct {
        double done;
        const char *text;
    } cases[] = {{0, "0 flop of"},          {999, "999 flop of"},     {1000, "1 kflop of"},
                 {1234, "1.23 kflop of"},   {12345, "12.3 kflop of"}, {123456, "123 kflop of"},
                 {999600, "1.00 Mflop of"}, {1.5e18, "1.50 Eflop of"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        begin(&f, 2e18, PROGRESS_LINES);
        f.progress.work_name = "flop";
        f.progress.done = cases[i].done;
        progress_unit(&f.progress, "score", NULL, 0, 4);
        if (strstr(news(&f), cases[i].text) == NULL)
            fail_msg("'%s' is not in '%s'", cases[i].text, f.text);
        end(&f);
    }
}

static void time_left_counts_only_what_this_start_did(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_NONE);
    assert_true(progress_time_left(&f.progress) < 0);
    progress_skip(&f.progress, 60); // done yesterday
    assert_true(progress_time_left(&f.progress) < 0);
    f.now += 10;
    progress_advance(&f.progress, 20);
    assert_true(progress_time_left(&f.progress) == 10); // 20 left at 2 a second
    progress_advance(&f.progress, 20);
    assert_true(progress_time_left(&f.progress) == 0);
    end(&f);
}

// A start that goes on reads what is there first, and reads a layer before the first work counts.
static void time_left_counts_from_the_first_unit_that_is_worked_on(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 1000, PROGRESS_NONE);
    f.now += 300; // all files of earlier starts are checked
    progress_skip(&f.progress, 400);
    f.now += 50;
    progress_unit(&f.progress, "score", "wanda", 3, 8);
    f.now += 20;
    progress_advance(&f.progress, 1);
    assert_true(progress_time_left(&f.progress) < 0); // at 0.05 a second it would be more than three hours
    f.now += 4;
    progress_advance(&f.progress, 23);
    progress_unit(&f.progress, "score", "wanda", 4, 8);
    assert_true(progress_time_left(&f.progress) == 576); // at 1 a second
    end(&f);

    begin(&f, 1000, PROGRESS_NONE); // one unit that lasts
    progress_unit(&f.progress, "evaluate", "dense", 0, 0);
    f.now += 59;
    progress_advance(&f.progress, 30);
    assert_true(progress_time_left(&f.progress) < 0);
    f.now += 1;
    assert_true(progress_time_left(&f.progress) == 1940);
    f.now += 40;
    progress_advance(&f.progress, 20); // other teams count as well
    assert_true(progress_time_left(&f.progress) == 1900);
    end(&f);
}

// The rates of earlier starts say how long the rest takes, until this start has measured enough.
static void what_earlier_starts_measured_says_the_time_left_at_first(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 1000, PROGRESS_NONE);
    progress_skip(&f.progress, 600);
    progress_expect(&f.progress, 200); // 2 a second
    assert_true(progress_time_left(&f.progress) == 200);

    // A unit of next to no work, which took a second: by its rate it would be more than an hour
    progress_unit(&f.progress, "sequences", NULL, 0, 0);
    f.now += 1;
    progress_advance(&f.progress, 0.0625);
    progress_unit(&f.progress, "score", "wanda", 3, 8);
    assert_true(progress_time_left(&f.progress) == (400 - 0.0625) / 2);

    // 10 of 400 in 10 seconds: half of the 5 % that are enough
    f.now += 9;
    progress_advance(&f.progress, 10 - 0.0625);
    assert_true(progress_time_left(&f.progress) == 0.5 * 390 + 0.5 * 195);
    f.now += 10;
    progress_advance(&f.progress, 10);
    assert_true(progress_time_left(&f.progress) == 380); // at 1 a second, measured
    end(&f);

    begin(&f, 1e6, PROGRESS_NONE); // a long job: ten minutes are enough, too
    progress_expect(&f.progress, 1e5);
    progress_unit(&f.progress, "score", "wanda", 0, 8);
    f.now += 300;
    progress_advance(&f.progress, 0);
    assert_true(progress_time_left(&f.progress) == 1e5); // nothing measured
    progress_advance(&f.progress, 300);
    const double left = 1e6 - 300;
    assert_true(progress_time_left(&f.progress) == 0.5 * left + (1 - 0.5) * (1e5 * left / 1e6));
    f.now += 300;
    assert_true(progress_time_left(&f.progress) == left * 2);
    progress_advance(&f.progress, left);
    assert_true(progress_time_left(&f.progress) == 0);
    end(&f);
}

// Without them a small unit is not enough either.
static void a_small_unit_says_nothing_of_the_time_left(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 1000, PROGRESS_NONE);
    progress_unit(&f.progress, "sequences", NULL, 0, 0);
    f.now += 5;
    progress_advance(&f.progress, 9);
    progress_unit(&f.progress, "calibrate", NULL, 0, 8);
    assert_true(progress_time_left(&f.progress) < 0);
    progress_advance(&f.progress, 1);
    assert_true(progress_time_left(&f.progress) == 495);
    end(&f);
}

static void a_job_that_was_done_already_is_at_100_per_cent(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_LINES);
    progress_skip(&f.progress, 100);
    progress_unit(&f.progress, "export", NULL, 0, 0);
    assert_string_equal(news(&f), "100.0 %  00:00:00 elapsed, 00:00:00 left  export\n");
    end(&f);
}

// ---- silence -------------------------------------------------------------------------------------------

// A file was found damaged, and everything is looked at again.
static void what_is_done_again_does_not_take_the_share_back(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_LINES);
    progress_skip(&f.progress, 20);
    progress_unit(&f.progress, "score", NULL, 0, 4);
    f.now += 10;
    progress_advance(&f.progress, 30);
    assert_non_null(strstr(news(&f), " 50.0 %  00:00:10 elapsed, 00:00:17 left"));
    progress_again(&f.progress);
    progress_skip(&f.progress, 40); // 20 of it were done by this start, 10 are to be done again
    f.now += 31;
    progress_beat(&f.progress);
    assert_non_null(strstr(news(&f), " 50.0 % "));
    assert_true(progress_time_left(&f.progress) == 60 / (30 / 41.0));
    f.now += 31;
    progress_advance(&f.progress, 60);
    assert_non_null(strstr(news(&f), "100.0 % "));
    end(&f);
}

static void messages_of_others_clear_the_bar_of_the_first(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 0, PROGRESS_NONE);
    f.progress.beside_bar = true;
    progress_message(&f.progress, "dense: perplexity %d", 7);
    assert_string_equal(news(&f), "\r\033[Kdense: perplexity 7\n");
    end(&f);
}

// The program itself says nothing: it computes, or waits for other ranks.
static void the_bar_moves_while_the_program_is_busy(void **state)
{
    const struct timespec pause = {0, 1000000};
    struct progress progress;
    FILE *file = tmpfile();
    long written = 0;
    (void)state;
    progress_begin(&progress, 100, PROGRESS_BAR, file);
    progress_unit(&progress, "score", NULL, 0, 4);
    const long begun = lseek(fileno(file), 0, SEEK_END);
    assert_true(begun > 0);
    for (int i = 0; i < 60000 && written <= begun; i++) {
        nanosleep(&pause, NULL);
        written = lseek(fileno(file), 0, SEEK_END);
    }
    assert_true(written > begun);
    progress_end(&progress);
    fclose(file);
}

static void without_progress_there_are_messages_only(void **state)
{
    struct fixture f;
    (void)state;
    begin(&f, 100, PROGRESS_NONE);
    progress_unit(&f.progress, "score", NULL, 0, 4);
    f.now += 100;
    progress_advance(&f.progress, 50);
    progress_message(&f.progress, "hello");
    progress_end(&f.progress);
    assert_string_equal(news(&f), "hello\n");
    end(&f);
}

static void without_a_stream_everything_is_silent(void **state)
{
    struct progress progress;
    (void)state;
    progress_begin(&progress, 100, PROGRESS_AUTO, NULL);
    progress_unit(&progress, "score", NULL, 0, 4);
    progress_advance(&progress, 50);
    progress_message(&progress, "nobody reads this");
    assert_true(progress.done == 50);
    progress_end(&progress);
}

static void a_file_gets_lines_when_nobody_chose(void **state)
{
    struct progress progress;
    FILE *file = tmpfile();
    (void)state;
    progress_begin(&progress, 100, PROGRESS_AUTO, file);
    assert_int_equal(progress.mode, PROGRESS_LINES);
    progress_end(&progress);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_unit_gives_a_line),
        cmocka_unit_test(a_unit_may_lack_variant_and_layer),
        cmocka_unit_test(lines_are_ten_seconds_and_five_per_cent_apart),
        cmocka_unit_test(nothing_is_silent_for_more_than_half_a_minute),
        cmocka_unit_test(a_new_stage_gives_a_line),
        cmocka_unit_test(a_fast_job_gives_a_first_and_a_last_line),
        cmocka_unit_test(the_last_line_of_a_stopped_job_says_how_far_it_came),
        cmocka_unit_test(without_a_unit_there_is_no_line),
        cmocka_unit_test(the_bar_is_one_line_redrawn),
        cmocka_unit_test(the_bar_is_drawn_at_most_five_times_a_second),
        cmocka_unit_test(messages_do_not_tear_the_bar),
        cmocka_unit_test(the_bar_never_wraps),
        cmocka_unit_test(a_narrow_terminal_loses_the_amounts_before_the_bar),
        cmocka_unit_test(amounts_have_three_digits_and_a_prefix),
        cmocka_unit_test(time_left_counts_only_what_this_start_did),
        cmocka_unit_test(time_left_counts_from_the_first_unit_that_is_worked_on),
        cmocka_unit_test(what_earlier_starts_measured_says_the_time_left_at_first),
        cmocka_unit_test(a_small_unit_says_nothing_of_the_time_left),
        cmocka_unit_test(a_job_that_was_done_already_is_at_100_per_cent),
        cmocka_unit_test(what_is_done_again_does_not_take_the_share_back),
        cmocka_unit_test(messages_of_others_clear_the_bar_of_the_first),
        cmocka_unit_test(the_bar_moves_while_the_program_is_busy),
        cmocka_unit_test(without_progress_there_are_messages_only),
        cmocka_unit_test(without_a_stream_everything_is_silent),
        cmocka_unit_test(a_file_gets_lines_when_nobody_chose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
