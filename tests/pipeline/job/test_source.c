// What surrounds the text of a job file: settings of the command line over it, paths from its folder, and
// variables in them.
#include "pipeline/job/job.h"
#include "pipeline/job/json.h"
#include "pipeline/job/load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char job[] = "model: /m\nrun: /r\ncalibration:\n  corpus: /c\n"
                          "prune:\n  method: wanda\n  sparsity: 0.5\n";

static enum status parse(struct settings **settings, const char *text, const char *path,
                         const struct job_sets *sets, struct error *err)
{
    const struct job_source source = {.path = path, .variables = environment_variables, .sets = *sets};
    *err = (struct error){0};
    return job_parse_source(settings, text, strlen(text), &source, err);
}

// ---- --set -----------------------------------------------------------------------------------------------

static struct settings *parse_with(const char *const *texts, size_t count)
{
    const struct job_sets sets = {texts, count};
    struct settings *settings;
    struct error err;
    if (parse(&settings, job, "job.yaml", &sets, &err) != STATUS_OK)
        fail_msg("refused: %s", err.message);
    return settings;
}
#define PARSE_WITH(...) \
    parse_with((const char *const[]){__VA_ARGS__}, COUNT(((const char *const[]){__VA_ARGS__})))

static void the_command_line_stands_over_the_file(void **state)
{
    struct settings *s = PARSE_WITH("prune.sparsity=0.6", "calibration.seed=7", "output=/o");
    (void)state;
    assert_int_equal(s->num_variants, 1);
    assert_string_equal(s->variants[0].name, "wanda-0.6");
    assert_int_equal(s->seed, 7);
    assert_string_equal(s->output, "/o");
    assert_string_equal(s->model, "/m");
    settings_free(s);

    s = PARSE_WITH("prune.method=[wanda, ria]", "prune.sparsity=[0.25,0.5]");
    assert_int_equal(s->num_variants, 4);
    assert_string_equal(s->variants[3].name, "ria-0.5");
    settings_free(s);

    s = PARSE_WITH("prune.ratios={a: 0.1, \"b*\": 1}", "prune.skip=[c, d]", "evaluate.perplexity=/t=1.txt",
                   "evaluate.tasks=[{data: /d.jsonl, name: n, limit: 3}]");
    assert_int_equal(s->num_ratios, 2);
    assert_string_equal(s->ratios[1].pattern, "b*");
    assert_int_equal(s->ratios[1].line, 0); // which messages take for the command line
    assert_int_equal(s->num_skip, 2);
    assert_int_equal(s->skip[0].line, 0);
    assert_string_equal(s->texts[0].data, "/t=1.txt");
    assert_string_equal(s->tasks[0].name, "n");
    settings_free(s);

    // The last one counts; null takes a key away.
    s = PARSE_WITH("prune.sparsity=0.6", "prune.pattern=2:4", "prune.sparsity=null");
    assert_int_equal(s->num_variants, 1);
    assert_string_equal(s->variants[0].name, "wanda-2of4");
    settings_free(s);
}

// What is on record does not tell where a setting stood.
static void it_is_recorded_as_a_job_that_says_the_same(void **state)
{
    static const char same[] = "model: /m\nrun: /r\ncalibration: {corpus: /c}\n"
                               "prune: {method: ria, pattern: 2:4, skip: [a]}\n";
    const struct job_sets none = {0};
    struct settings *set = PARSE_WITH("prune.method=ria", "prune.sparsity=~", "prune.pattern=2:4",
                                      "prune.skip=[a]"),
                    *written;
    struct error err;
    (void)state;
    assert_int_equal(parse(&written, same, "job.yaml", &none, &err), STATUS_OK);
    json_t *a = settings_to_json(set), *b = settings_to_json(written);
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
    settings_free(set);
    settings_free(written);
}

static void wrong_settings_are_refused_with_one_line(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"prune.sparsity", "--set must be KEY=VALUE, such as prune.sparsity=0.6, got 'prune.sparsity'"},
        {"=0.6", "--set must be KEY=VALUE, such as prune.sparsity=0.6, got '=0.6'"},
        {"prune.sparsity=", "--set prune.sparsity: there is no value; null takes a key out of the job"},
        {"run= #x", "--set run: there is no value; null takes a key out of the job"},
        {"run=#x", "--set run: there is no value; null takes a key out of the job"},
        {"prune.sparsity=2", "--set prune.sparsity: must be a number from 0 to 1, got 2"},
        {"prune.sparsty=0.6", "--set prune.sparsty: unknown key, did you mean prune.sparsity?"},
        {"sparsity=0.6", "--set sparsity: unknown key, did you mean prune.sparsity?"},
        {"calibration.sparsity=0.6", "--set calibration.sparsity: unknown key, did you mean prune.sparsity?"},
        {"zebra=1", "--set zebra: unknown key; 'coppice help keys' has all keys"},
        {"calibration.nsamples=9",
         "--set calibration.nsamples: unknown key: nsamples (Wanda and SparseGPT) is "
         "calibration.sequences in coppice"},
        {"prune={method: ria}",
         "--set prune: is a section of the job file: set its keys, as in --set prune.sparsity=0.6"},
        {"prune.skip=[a",
         "--set prune.skip: not valid YAML: did not find expected ',' or ']' while parsing a "
         "flow sequence"},
        {"prune.group=rwo", "--set prune.group: must be one of row, layer, got 'rwo', did you mean row?"},
        {"compensate.clamp=[2, 1]", "--set compensate.clamp: low must not be above high"},
        {"prune.permute=true", "--set prune.permute: is used with prune.pattern only"},
        {"evaluate.tasks=[{name: x}]", "--set evaluate.tasks.data: is missing"},
        {"expected={a: {perplexity: 2, length: 3, source: s}}",
         "--set expected: is shown beside what is measured, and evaluate.perplexity is not given"},
        {"run=null", "job.yaml:2: run: is missing"},
        {"calibration.corpus=null", "job.yaml:3: calibration.corpus: is missing"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct job_sets sets = {&cases[i].text, 1};
        struct settings *settings;
        struct error err;
        assert_int_equal(parse(&settings, job, "job.yaml", &sets, &err), STATUS_USAGE);
        assert_string_equal(err.message, cases[i].message);
        assert_null(settings);
    }
}

// ---- paths -----------------------------------------------------------------------------------------------

static char folder[] = "/tmp/coppice-test-source-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL || chdir(folder) != 0 || mkdir("jobs", 0700) != 0 || mkdir("here", 0700) != 0)
        return -1;
    return mkdir("jobs/there", 0700) != 0 || mkdir("old-run", 0700) != 0 ||
           fclose(fopen("old-run/run.json", "w")) != 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink("old-run/run.json");
    rmdir("old-run");
    rmdir("jobs/there");
    rmdir("here");
    rmdir("jobs");
    return chdir("/") != 0 || rmdir(folder) != 0;
}

// The model and the run of a job with these, in the file `path`; or the message that refuses it.
static void check_path(const char *path, const char *model, const char *run, const char *expected)
{
    const struct job_sets none = {0};
    char text[512], found[1024];
    struct settings *settings;
    struct error err;

    snprintf(text, sizeof text, "model: %s\nrun: %s\ncalibration: {corpus: /c}\nprune: {sparsity: 0.5}\n",
             model, run);
    if (parse(&settings, text, path, &none, &err) == STATUS_OK)
        snprintf(found, sizeof found, "%s, %s", settings->model, settings->run);
    else
        snprintf(found, sizeof found, "%s", err.message);
    settings_free(settings);
    assert_string_equal(found, expected);
}

static void paths_count_from_the_job_file_s_folder(void **state)
{
    (void)state;
    unsetenv("COPPICE_TEST_UNSET");
    setenv("COPPICE_TEST_PLACE", "/place", 1);
    setenv("HOME", "/home/me", 1);
    check_path("job.yaml", "m", "r", "m, r");
    check_path("jobs/job.yaml", "m/n/o", "../r", "jobs/m/n/o, jobs/../r");
    check_path("/abs/job.yaml", "m/n/o", "./r", "/abs/m/n/o, /abs/./r");
    check_path("jobs/job.yaml", "/m", "/r", "/m, /r");
    check_path("jobs/job.yaml", "$COPPICE_TEST_PLACE/m", "~/r", "/place/m, /home/me/r");
    check_path("jobs/job.yaml", "a/${COPPICE_TEST_PLACE}/m", "r", "jobs/a//place/m, jobs/r");
    check_path("jobs/job.yaml", "$COPPICE_TEST_UNSET/m", "r",
               "jobs/job.yaml:1: model: the variable COPPICE_TEST_UNSET is not set: $COPPICE_TEST_UNSET/m");
    check_path("jobs/job.yaml", "a$$b/$$COPPICE_TEST_PLACE", "cost$",
               "jobs/a$b/$COPPICE_TEST_PLACE, jobs/cost$");
    check_path("jobs/job.yaml", "m", "${COPPICE_TEST_PLACE/r",
               "jobs/job.yaml:2: run: a variable is written $NAME or ${NAME}, and a dollar sign $$: "
               "${COPPICE_TEST_PLACE/r");
    check_path("/dev/fd/63", "m", "r", "m, r"); // a pipe is in no folder
    // An id of the Hub stays one, unless a folder of that name is there.
    check_path("jobs/job.yaml", "some/model", "r", "some/model, jobs/r");
    check_path("jobs/job.yaml", "there", "r", "jobs/there, jobs/r");
}

// An earlier version counted from the working directory.
static void what_is_only_found_from_the_working_directory_is_refused(void **state)
{
    (void)state;
    check_path(
        "jobs/job.yaml", "here", "r",
        "jobs/job.yaml:1: model: here is there from the working directory, but paths count from the job "
        "file's folder, jobs/");
    check_path(
        "jobs/job.yaml", "m", "old-run",
        "jobs/job.yaml:2: run: old-run is there from the working directory, but paths count from the job "
        "file's folder, jobs/");
    check_path("jobs/job.yaml", "m", "here", "m, jobs/here"); // a folder, but no run
    check_path("job.yaml", "here", "old-run", "here, old-run");
}

// Variables that a launcher would not pass on have the values of the rank that reads the file.
static void a_file_is_read_with_its_variables(void **state)
{
    static const char text[] = "model: $COPPICE_TEST_PLACE/m\nrun: r\ncalibration: {corpus: /c}\n"
                               "prune: {sparsity: 0.5}\n";
    const char *set = "output=${COPPICE_TEST_OTHER}x";
    const struct job_sets sets = {&set, 1};
    struct settings *settings;
    struct error err = {0};
    FILE *file = fopen("jobs/job.yaml", "w");
    (void)state;
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0 && fclose(file) == 0);
    setenv("COPPICE_TEST_PLACE", "/place", 1);
    setenv("COPPICE_TEST_OTHER", "/other=", 1);
    assert_int_equal(job_load(&settings, "jobs/job.yaml", &sets, NULL, &err), STATUS_OK);
    assert_string_equal(settings->model, "/place/m");
    assert_string_equal(settings->run, "jobs/r");
    assert_string_equal(settings->output, "/other=x");
    settings_free(settings);
    unlink("jobs/job.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_command_line_stands_over_the_file),
        cmocka_unit_test(it_is_recorded_as_a_job_that_says_the_same),
        cmocka_unit_test(wrong_settings_are_refused_with_one_line),
        cmocka_unit_test(paths_count_from_the_job_file_s_folder),
        cmocka_unit_test(what_is_only_found_from_the_working_directory_is_refused),
        cmocka_unit_test(a_file_is_read_with_its_variables),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
