// Small parts of the report: lines of a plot, quantiles, and texts on their way into other languages.
#include "pipeline/job/job.h"
#include "pipeline/report/gnuplot.h"
#include "pipeline/report/page.h"
#include "pipeline/report/report.h"
#include "pipeline/report/series.h"
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

static void write_table(FILE *out)
{
    json_t *report = json_pack("{s:[{s:s, s:i, s:f, s:{s:i}}, {s:s, s:n}], s:{s:s, s:b}}", "linears",
                               "variant", "a", "layer", 3, "energy", 0.1, "more", "kept", 7, "variant", "b",
                               "energy", "provenance", "note", "say \"x\", y", "done", 1);
    report_write_csv(report, out);
    json_decref(report);
}

static void a_table_has_one_number_a_line(void **state)
{
    char *text = written(write_table);
    (void)state;
    assert_string_equal(text, "table,variant,stream,process,rank,layer,linear,quantity,value\n"
                              "linears,a,,,,3,,energy,0.10000000000000001\n"
                              "linears,a,,,,3,,more.kept,7\n"
                              "provenance,,,,,,,note,\"say \"\"x\"\", y\"\n"
                              "provenance,,,,,,,done,true\n");
    free(text);
}

static void accuracy_is_the_mean_over_tasks(void **state)
{
    json_t *model = json_pack("{s:{s:{s:f}, s:{s:f}}}", "tasks", "boolq", "acc", 0.5, "rte", "acc", 0.75);
    double value;
    (void)state;
    assert_true(report_accuracy(&value, model));
    assert_true(value == 0.625);
    json_object_clear(model);
    assert_false(report_accuracy(&value, model));
    json_decref(model);
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
        cmocka_unit_test(a_table_has_one_number_a_line),
        cmocka_unit_test(accuracy_is_the_mean_over_tasks),
        cmocka_unit_test_setup_teardown(without_gnuplot_nothing_is_drawn, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_gnuplot_complains_of_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
