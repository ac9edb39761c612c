// results.h: what the table that ends a run does about results that cannot be read.
#include "io/file/run_paths.h"
#include "pipeline/report/results.h"
#include "stages/evaluate/perplexity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make_folder(const char *run, const char *name)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", run, name);
    assert_int_equal(mkdir(path, 0777), 0);
}

static void a_result_that_cannot_be_read_is_an_error_after_the_table(void **state)
{
    char run[] = "/tmp/coppice-results-XXXXXX", path[PATH_SIZE], command[64];
    struct text_settings text = {.data = "a text", .is_plain = true};
    struct task_settings task = {.name = "boolq", .data = "a task"};
    struct variant wanda = {.name = "wanda-0.5"};
    struct settings settings = {.num_variants = 1, .variants = &wanda, .num_texts = 1, .texts = &text};
    (void)state;

    assert_non_null(mkdtemp(run));
    settings.run = run;
    make_folder(run, "results");
    make_folder(run, "results/dense");
    make_folder(run, "results/wanda-0.5");
    make_folder(run, "results/wanda-0.5/tasks");
    for (int json = 0; json < 2; json++)
        for (int what = 0; what < 3; what++) {
            struct error err = {0};
            char *printed = NULL;
            size_t size;
            FILE *out = open_memstream(&printed, &size);
            settings.num_tasks = what == 2 ? 1 : 0; // nothing; a perplexity; a task
            settings.tasks = &task;
            perplexity_path(path, &settings, 0, &wanda);
            if (what == 2)
                snprintf(path, sizeof path, "%s/results/wanda-0.5/tasks/boolq.json", run);
            if (what > 0)
                write_file(path, "{\"perplexity\": 7");
            const enum status status = results_print(&settings, json != 0, out, &err);
            fclose(out);
            assert_non_null(strstr(printed, json != 0 ? "wanda-0.5" : "variant"));
            free(printed);
            assert_int_equal(status, what == 0 ? STATUS_OK : STATUS_FAILED);
            assert_true(what == 0 || strstr(err.message, path) == err.message);
            unlink(path);
        }
    snprintf(command, sizeof command, "rm -r %s", run);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_that_cannot_be_read_is_an_error_after_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
