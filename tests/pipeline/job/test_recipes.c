// jobs/recipes: every file is a job, with the calibration that its sources have, and with published
// perplexities of its own variants at the length at which it measures.
#include "pipeline/job/expected.h"
#include "pipeline/job/job.h"
#include "pipeline/job/load.h"

#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ctest says where the sources are; by hand the compiler's word for this file does.
static void find_recipes(glob_t *found, const char *name)
{
    char pattern[4096];
    const char *source = getenv("COPPICE_SOURCE"), *here = strstr(__FILE__, "tests/pipeline");
    if (source != NULL)
        snprintf(pattern, sizeof pattern, "%s/jobs/recipes/%s", source, name);
    else
        snprintf(pattern, sizeof pattern, "%.*sjobs/recipes/%s", (int)(here - __FILE__), __FILE__, name);
    assert_int_equal(glob(pattern, 0, NULL, found), 0);
}

static struct settings *load(const char *path)
{
    struct settings *settings = NULL;
    struct error err = {0};
    if (job_load(&settings, path, NULL, NULL, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    return settings;
}

static void every_recipe_is_a_job_with_published_perplexities(void **state)
{
    glob_t found;
    (void)state;
    find_recipes(&found, "*.yaml");
    assert_true(found.gl_pathc >= 12);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct settings *settings = load(found.gl_pathv[i]);
        // Names of variants were checked when the job was read; the dense model shows that all else is alike.
        assert_non_null(expected_find(settings, NULL));
        assert_true(settings->num_expected >= 2);
        for (size_t e = 0; e < settings->num_expected; e++) {
            if (settings->expected[e].length != settings->evaluate_length)
                fail_msg("%s:%zu: another length than evaluate.length", found.gl_pathv[i],
                         settings->expected[e].line);
            assert_true(strlen(settings->expected[e].source) >= 10);
        }
        settings_free(settings);
    }
    globfree(&found);
}

static void every_recipe_calibrates_as_its_sources_do(void **state)
{
    glob_t found;
    (void)state;
    find_recipes(&found, "*.yaml");
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct settings *settings = load(found.gl_pathv[i]);
        const char *name = strrchr(found.gl_pathv[i], '/') + 1, *run = strrchr(settings->run, '/') + 1;
        assert_string_equal(settings->corpus, "/data/c4-train.00000-of-01024.json.gz");
        assert_int_equal(settings->sequences, 128);
        assert_int_equal(settings->seed, 0);
        assert_int_equal(settings->length, settings->evaluate_length);
        assert_int_equal(settings->propagation, PROPAGATION_PRUNED);
        assert_null(settings->output);
        // Two recipes do not share a run directory.
        assert_int_equal(strlen(run) + strlen(".yaml"), strlen(name));
        assert_memory_equal(run, name, strlen(run));
        settings_free(settings);
    }
    globfree(&found);
}

// A method, a name or a default that changed would leave the numbers where they are not looked for.
static void known_numbers_are_where_they_belong(void **state)
{
    static const struct {
        const char *file, *variant;
        double perplexity;
        size_t length;
    } known[] = {
        {"wanda-llama-2-7b.yaml", "dense", 5.12, 4096},
        {"wanda-llama-2-7b.yaml", "wanda-0.5", 6.42, 4096},
        {"wanda-llama-2-7b.yaml", "wanda-2of4", 11.02, 4096},
        {"wanda-llama-2-7b.yaml", "sparsegpt-4of8", 8.12, 4096},
        {"wanda-llama-2-13b.yaml", "wanda-4of8", 6.55, 4096},
        {"magnitude-llama-2-7b.yaml", "magnitude-0.5-layer", 14.89, 4096},
        {"ria-llama-3-8b.yaml", "ria-0.5-layer", 9.34, 2048},
        {"ria-llama-3-8b.yaml", "sparsegpt-2of4", 16.26, 2048},
        {"owl-llama-7b.yaml", "wanda-0.7-owl", 24.55, 2048},
        {"dlp-llama-2-7b.yaml", "wanda-0.7", 76.84, 2048},
        {"dlp-llama-2-13b.yaml", "wanda-0.7-dlp", 16.19, 2048},
        {"statistical-correction-llama-2-13b.yaml", "cvr-alpha0.25-0.5-columns-unguarded", 5.33, 4096},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        glob_t found;
        find_recipes(&found, known[i].file);
        struct settings *settings = load(found.gl_pathv[0]);
        const struct expected *expected = NULL;
        for (size_t e = 0; e < settings->num_expected; e++)
            if (strcmp(settings->expected[e].variant, known[i].variant) == 0)
                expected = &settings->expected[e];
        assert_non_null(expected);
        assert_true(expected->perplexity == known[i].perplexity);
        assert_int_equal(expected->length, known[i].length);
        settings_free(settings);
        globfree(&found);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_recipe_is_a_job_with_published_perplexities),
        cmocka_unit_test(every_recipe_calibrates_as_its_sources_do),
        cmocka_unit_test(known_numbers_are_where_they_belong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
