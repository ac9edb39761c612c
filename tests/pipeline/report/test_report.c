// Small parts of the report: lines of a plot, quantiles, and texts on their way into other languages.
#include "pipeline/job/job.h"
#include "pipeline/report/data/gather.h"
#include "pipeline/report/data/levels.h"
#include "pipeline/report/data/series.h"
#include "pipeline/report/data/uncertainty.h"
#include "pipeline/report/page/page.h"
#include "pipeline/report/plots/gnuplot.h"
#include "pipeline/report/variant_table.h"
#include "tests/support/temporary_folder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void variants_that_differ_in_sparsity_share_a_series(void **state)
{
    static const struct {
        struct variant variant;
        const char *series;
    } cases[] = {
        {{.name = "wanda-0.5", .sparsity = 0.5}, "wanda"},
        {{.name = "wanda-0.5-columns-rows", .sparsity = 0.5}, "wanda-columns-rows"},
        {{.name = "cvr-alpha0.25-0.25", .sparsity = 0.25}, "cvr-alpha0.25"},
        {{.name = "ria-1-rows-clamp0.1-10", .sparsity = 1}, "ria-rows-clamp0.1-10"},
        {{.name = "ria-2of4-rows", .is_pattern = true, .keep = 2, .of = 4}, "ria-rows"},
        {{.name = "ria-0of4", .is_pattern = true, .keep = 0, .of = 4}, "ria"},
        {{.name = "named-by-hand", .sparsity = 0.5}, "named-by-hand"},
    };
    char series[128];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        series_of(series, sizeof series, &cases[i].variant);
        assert_string_equal(series, cases[i].series);
    }
}

static void quantiles_lie_between_order_statistics(void **state)
{
    const double sorted[] = {1, 2, 4, 8, 16};
    (void)state;
    assert_true(report_quantile(sorted, 5, 0) == 1);
    assert_true(report_quantile(sorted, 5, 0.5) == 4);
    assert_true(report_quantile(sorted, 5, 1) == 16);
    assert_true(report_quantile(sorted, 5, 0.125) == 1.5); // numpy.quantile(..., 0.125)
    assert_true(report_quantile(sorted, 1, 0.7) == 1);
    assert_true(isnan(report_quantile(sorted, 0, 0.5)));
}

static void gnuplot_sees_texts_as_texts(void **state)
{
    char quoted[16];
    (void)state;
    assert_string_equal(gnuplot_quote(quoted, sizeof quoted, "a'b`c\n"), "'a''b`c '");
    assert_string_equal(gnuplot_quote(quoted, 8, "abcdefgh"), "'abcd'");
    assert_string_equal(gnuplot_quote(quoted, 8, "abc'''"), "'abc'''"); // no half of a pair
}

// The text that `write` writes to a stream; the caller frees it.
static char *written(void (*write)(FILE *out))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    write(out);
    fclose(out);
    return text;
}

static void write_hostile_text(FILE *out)
{
    html_text(out, "<b a=\"1\">&amp;</b>");
}

static void html_sees_texts_as_texts(void **state)
{
    char *text = written(write_hostile_text);
    (void)state;
    assert_string_equal(text, "&lt;b a=&quot;1&quot;&gt;&amp;amp;&lt;/b&gt;");
    free(text);
}

// Two runs; the second one's variant has a key and a task that the first one's does not have.
static json_t *two_rows(void)
{
    return json_pack("[{s:s, s:s, s:f, s:n}, {s:s, s:s, s:i, s:f, s:b, s:f}]", "run", "=HYPERLINK(\"x\")",
                     "variant", "a,b", "sparsity", 0.1, "perplexity", "run", " @sum\tof\n\x7f", "variant",
                     "-1", "alpha", -3, "sparsity", -0.5, "guard", 1, "rte.acc", 1e-8);
}

static void write_table(FILE *out)
{
    json_t *rows = two_rows();
    variant_table_write_csv(rows, out);
    json_decref(rows);
}

static void a_table_has_a_row_a_variant_and_no_formulas(void **state)
{
    char *text = written(write_table);
    (void)state;
    assert_string_equal(text, "run,variant,alpha,sparsity,guard,rte.acc\n"
                              "\"'=HYPERLINK(\"\"x\"\")\",\"a,b\",,0.1,,\n"
                              "\"' @sum of  \",\"'-1\",-3,-0.5,true,1e-8\n");
    free(text);
}

static void rows_have_settings_results_and_time(void **state)
{
    json_t *report =
        json_pack("{s:s, s:s, s:{s:{s:{s:i}, s:{s:[s, s]}, s:[]}}, s:[{s:s, s:f}, {s:s, s:{s:s, s:s, s:f, "
                  "s:[s, s]}, s:f, "
                  "s:f, s:f, s:{s:{s:f, s:f}}, s:{s:f}, s:f}]}",
                  "run", "r", "model", "m", "provenance", "job", "calibration", "sequences", 8, "prune",
                  "skip", "x", "y", "variants", "models", "variant", "dense", "perplexity", 2.0, "variant",
                  "v", "choice", "name", "v", "method", "wanda", "sparsity", 0.5, "energy", "rows", "columns",
                  "target", 0.5, "perplexity", 3.0, "ratio", 1.5, "tasks", "rte", "acc", 0.5, "acc_stderr",
                  0.25, "seconds", "score", 1.5, "rank_seconds", 3.0);
    json_t *rows = json_array(),
           *dense = json_pack("{s:s, s:s, s:s, s:i, s:s, s:f}", "run", "r", "model", "m", "variant", "dense",
                              "calibration.sequences", 8, "prune.skip", "x y", "perplexity", 2.0),
           *pruned = json_pack("{s:s, s:s, s:s, s:s, s:f, s:s, s:i, s:s, s:f, s:f, s:f, s:f, s:f, s:f}",
                               "run", "r", "model", "m", "variant", "v", "method", "wanda", "sparsity_asked",
                               0.5, "energy", "rows columns", "calibration.sequences", 8, "prune.skip", "x y",
                               "perplexity", 3.0, "times_dense", 1.5, "rte.acc", 0.5, "rte.acc_stderr", 0.25,
                               "score.seconds", 1.5, "rank_seconds", 3.0);
    json_t *expected = json_pack("[o, o]", dense, pruned), *row, *value;
    const char *name;
    void *next;
    size_t i;
    (void)state;

    assert_non_null(report);
    variant_table_add(rows, report);
    json_array_foreach(rows, i, row)
    {
        json_object_foreach_safe(row, next, name, value)
        {
            if (json_is_null(value))
                json_object_del(row, name);
        }
    }
    assert_true(json_equal(rows, expected));
    json_decref(expected);
    json_decref(rows);
    json_decref(report);
}

// ---- what is concluded ----------------------------------------------------------------------------------

static void errors_are_those_of_paired_windows(void **state)
{
    json_t *pruned = json_pack("[f, f, f, f]", 1.0, 2.0, 4.0, 7.0), *one = json_pack("[f]", 1.0);
    json_t *dense = json_pack("[f, f, f, f]", 1.0, 1.0, 1.0, 2.0);
    double error;
    (void)state;

    assert_true(standard_error(&error, pruned, NULL));
    assert_true(fabs(error - sqrt(21.0 / 12)) < 1e-15); // squares about 3.5, over n (n - 1)
    assert_true(standard_error(&error, pruned, dense));
    assert_true(fabs(error - sqrt(14.75 / 12)) < 1e-15); // 0, 1, 3, 5 about 2.25
    assert_false(standard_error(&error, pruned, one));
    assert_false(standard_error(&error, one, NULL));
    assert_false(standard_error(&error, NULL, NULL));
    json_decref(pruned);
    json_decref(dense);
    json_decref(one);
}

static void the_error_of_a_mean_over_tasks_is_that_of_independent_ones(void **state)
{
    json_t *tasks = json_pack("{s:{s:f, s:f}, s:{s:f, s:f}}", "boolq", "acc", 0.5, "acc_stderr", 0.03, "rte",
                              "acc", 0.75, "acc_stderr", 0.04);
    double error;
    (void)state;

    assert_true(tasks_mean_error(&error, tasks));
    assert_true(fabs(error - 0.025) < 1e-15);
    json_object_del(json_object_get(tasks, "rte"), "acc_stderr");
    assert_false(tasks_mean_error(&error, tasks));
    json_object_clear(tasks);
    assert_false(tasks_mean_error(&error, tasks));
    json_decref(tasks);
}

static void a_variant_is_the_best_of_its_own_sparsity(void **state)
{
    json_t *models =
        json_pack("[{s:s, s:f}, {s:s, s:{s:s}, s:f, s:f}, {s:s, s:{}, s:f, s:f}, {s:s, s:{}, s:f, s:f}, "
                  "{s:s, s:{}, s:f}, {s:s, s:{}, s:f, s:f}]",
                  "variant", "dense", "perplexity", 1.0, "variant", "n", "choice", "pattern", "2:4", "target",
                  0.5, "perplexity", 9.0, "variant", "a", "choice", "target", 0.7, "perplexity", 8.0,
                  "variant", "b", "choice", "target", 0.5, "perplexity", 3.0, "variant", "not measured",
                  "choice", "target", 0.5, "variant", "c", "choice", "target", 0.5, "perplexity", 2.0);
    struct levels levels;
    (void)state;

    assert_non_null(models);
    levels_find(&levels, models);
    assert_int_equal(levels.count, 3);
    assert_string_equal(levels.labels[0], "50 %");
    assert_string_equal(levels.labels[1], "70 %");
    assert_string_equal(levels.labels[2], "2:4");
    assert_ptr_equal(measure_of(models), &measure_perplexity);
    const json_t *best = level_best(models, "50 %", &measure_perplexity, NULL);
    assert_ptr_equal(best, json_array_get(models, 5));
    assert_ptr_equal(level_best(models, "50 %", &measure_perplexity, best), json_array_get(models, 3));
    assert_true(level_is_best(models, best, &measure_perplexity));
    assert_true(level_is_best(models, json_array_get(models, 1), &measure_perplexity));
    assert_false(level_is_best(models, json_array_get(models, 3), &measure_perplexity));
    assert_false(level_is_best(models, json_array_get(models, 0), &measure_perplexity));
    assert_null(level_best(models, "50 %", &measure_accuracy, NULL));
    json_decref(models);
}

// ---- gnuplot itself: a program of that name on PATH ------------------------------------------------------

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

static enum status draw_with_path(const char *path, bool *found, struct error *err)
{
    char script[] = "plot 1";
    char *before = strdup(getenv("PATH"));
    struct plot plot = {.script = script, .width = 100, .height = 100};
    setenv("PATH", path, 1);
    const enum status status = gnuplot_draw(&plot, 1, found, err);
    setenv("PATH", before, 1);
    free(before);
    free(plot.svg);
    return status;
}

static void without_gnuplot_nothing_is_drawn(void **state)
{
    struct error err = {0};
    bool found = true;
    assert_ok(draw_with_path(*state, &found, &err), err);
    assert_false(found);
}

static void what_gnuplot_complains_of_is_told(void **state)
{
    struct error err = {0};
    bool found;
    const char *program = write_text(*state, "gnuplot", "#!/bin/sh\necho 'no such colour' >&2\nexit 1\n");
    assert_int_equal(chmod(program, 0755), 0);
    assert_int_equal(draw_with_path(*state, &found, &err), STATUS_FAILED);
    assert_error(err, STATUS_FAILED, "gnuplot: no such colour");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variants_that_differ_in_sparsity_share_a_series),
        cmocka_unit_test(quantiles_lie_between_order_statistics),
        cmocka_unit_test(gnuplot_sees_texts_as_texts),
        cmocka_unit_test(html_sees_texts_as_texts),
        cmocka_unit_test(a_table_has_a_row_a_variant_and_no_formulas),
        cmocka_unit_test(rows_have_settings_results_and_time),
        cmocka_unit_test(errors_are_those_of_paired_windows),
        cmocka_unit_test(the_error_of_a_mean_over_tasks_is_that_of_independent_ones),
        cmocka_unit_test(a_variant_is_the_best_of_its_own_sparsity),
        cmocka_unit_test_setup_teardown(without_gnuplot_nothing_is_drawn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_gnuplot_complains_of_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
