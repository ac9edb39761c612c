// wrap: calloc
// The job file: what is taken, with which defaults and where from.
#include "pipeline/job/expected.h"
#include "pipeline/job/load.h"
#include "pipeline/job/variant.h"
#include "tests/support/parsed_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static int allocations_before_failure = -1; // negative: none fails

void *__wrap_calloc(size_t count, size_t size)
{
    if (allocations_before_failure == 0)
        return NULL;
    if (allocations_before_failure > 0)
        allocations_before_failure--;
    return __real_calloc(count, size);
}

static void a_minimal_job_gets_the_defaults(void **state)
{
    struct settings *s = parsed_job(MINIMAL);
    (void)state;
    assert_string_equal(s->model, "/m");
    assert_string_equal(s->run, "/r");
    assert_null(s->output);
    assert_string_equal(s->corpus, "/c");
    assert_int_equal(s->sequences, 128);
    assert_int_equal(s->length, 2048);
    assert_int_equal(s->seed, 0);
    assert_false(s->keep_activations);
    assert_int_equal(s->propagation, PROPAGATION_PRUNED);
    assert_int_equal(s->num_skip, 0);
    assert_int_equal(s->num_texts, 0);
    assert_int_equal(s->evaluate_length, 2048);
    assert_int_equal(s->num_variants, 1);

    const struct variant *v = &s->variants[0];
    assert_string_equal(v->name, "wanda-0.5");
    assert_int_equal(v->method, METHOD_WANDA);
    assert_true(v->parameters.alpha == 0);
    assert_true(v->parameters.epsilon == 1e-8);
    assert_true(v->parameters.exponent == 0.5);
    assert_false(v->is_pattern);
    assert_true(v->sparsity == 0.5);
    assert_int_equal(v->group, GROUP_ROW);
    assert_false(v->energy_columns);
    assert_false(v->energy_rows);
    assert_int_equal(v->allocation, ALLOCATION_UNIFORM);
    assert_int_equal(s->num_ratios, 0);
    assert_true(s->keep_weights);
    assert_int_equal(v->output, MATCHING_OFF);
    assert_false(v->bias);
    assert_false(v->guard);
    assert_true(v->clamp.low == 0.1);
    assert_true(v->clamp.high == 10);
    assert_true(v->clamp.epsilon == 1e-8);
    settings_free(s);
}

static void every_key_arrives_where_it_belongs(void **state)
{
    struct settings *s = parsed_job("# a job with all keys\n"
                                    "model: models/a b\n"
                                    "run: 'runs/x'\n"
                                    "output: \"out/\\u00e4\"\n"
                                    "calibration:\n"
                                    "  corpus: c4.json.gz\n"
                                    "  sequences: 7\n"
                                    "  length: 33\n"
                                    "  seed: 9223372036854775807\n"
                                    "  keep_activations: true\n"
                                    "prune:\n"
                                    "  method: cvr\n"
                                    "  alpha: 0.5\n"
                                    "  epsilon: 1e-6\n"
                                    "  pattern: 2:4\n"
                                    "  group: row\n"
                                    "  propagation: dense\n"
                                    "  skip: ['layers.0.*', mlp.down_proj]\n"
                                    "compensate:\n"
                                    "  energy: [columns, rows]\n"
                                    "  clamp: [0.5, 2]\n"
                                    "  output: off\n"
                                    "  bias: false\n"
                                    "evaluate:\n"
                                    "  perplexity: wiki.test.raw\n"
                                    "  length: 4096\n"
                                    "  tasks: []\n");
    (void)state;
    assert_string_equal(s->model, "models/a b");
    assert_string_equal(s->run, "runs/x");
    assert_string_equal(s->output, "out/ä");
    assert_string_equal(s->corpus, "c4.json.gz");
    assert_int_equal(s->sequences, 7);
    assert_int_equal(s->length, 33);
    assert_true(s->seed == INT64_MAX);
    assert_true(s->keep_activations);
    assert_int_equal(s->propagation, PROPAGATION_DENSE);
    assert_int_equal(s->num_skip, 2);
    assert_string_equal(s->skip[0].pattern, "layers.0.*");
    assert_string_equal(s->skip[1].pattern, "mlp.down_proj");
    assert_int_equal(s->num_texts, 1);
    assert_string_equal(s->texts[0].data, "wiki.test.raw");
    assert_true(s->texts[0].is_plain);
    assert_int_equal(s->evaluate_length, 4096);
    assert_int_equal(s->num_variants, 1);

    const struct variant *v = &s->variants[0];
    assert_string_equal(v->name, "cvr-alpha0.5-epsilon1e-6-2of4-columns-rows-clamp0.5-2");
    assert_int_equal(v->method, METHOD_CVR);
    assert_true(v->parameters.alpha == 0.5);
    assert_true(v->parameters.epsilon == 1e-6);
    assert_true(v->is_pattern);
    assert_int_equal(v->keep, 2);
    assert_int_equal(v->of, 4);
    assert_true(v->energy_columns && v->energy_rows);
    assert_true(v->guard); // by default, where there is something to guard
    assert_true(v->clamp.low == 0.5 && v->clamp.high == 2);
    assert_true(v->clamp.epsilon == 1e-8);
    settings_free(s);
}

static void texts_have_names(void **state)
{
    struct settings *s = parsed_job(MINIMAL "evaluate:\n"
                                            "  perplexity:\n"
                                            "  - /data/wiki.test.raw\n"
                                            "  - {name: news, data: /data/n.txt}\n"
                                            "  - /data/c4.jsonl.gz\n");
    (void)state;
    assert_int_equal(s->num_texts, 3);
    assert_string_equal(s->texts[0].name, "wiki.test");
    assert_true(s->texts[0].is_plain);
    assert_string_equal(s->texts[1].name, "news");
    assert_string_equal(s->texts[1].data, "/data/n.txt");
    assert_string_equal(s->texts[2].name, "c4");
    assert_false(s->texts[1].is_plain || s->texts[2].is_plain);
    settings_free(s);

    s = parsed_job(MINIMAL "evaluate: {perplexity: [{name: news, data: /n}]}\n");
    assert_int_equal(s->num_texts, 1);
    assert_false(s->texts[0].is_plain);
    settings_free(s);

    s = parsed_job(MINIMAL
                   "evaluate: {perplexity: [{data: /data/a.jsonl, field: content}, {name: b, data: /b, "
                   "field: text}]}\n");
    assert_string_equal(s->texts[0].field, "content");
    assert_true(s->texts[0].is_plain); // a field gives no name, and no other place
    assert_null(s->texts[1].field);    // the usual one
    settings_free(s);

    s = parsed_job(MINIMAL "evaluate: {perplexity: '/data/no name'}\n");
    assert_null(s->texts[0].name);
    settings_free(s);
}

static void values_at_the_ends_of_their_ranges_are_taken(void **state)
{
    static const char *const jobs[] = {
        HEAD "prune: {method: ria, sparsity: 0}",
        HEAD "prune: {method: ria, sparsity: 1}",
        HEAD "prune: {method: cvr, alpha: 0, sparsity: 1}",
        HEAD "prune: {method: cvr, alpha: 8, sparsity: 1}",
        HEAD "prune: {method: cvr, epsilon: 1, sparsity: 1}",
        HEAD "prune: {method: ria, pattern: 1:1}",
        HEAD "prune: {method: ria, pattern: 32:32}",
        HEAD "prune: {method: ria, pattern: \"1:32\"}",
        HEAD "  length: 2\nprune: {method: ria, sparsity: 1}",
        MINIMAL "compensate: {clamp: [1, 1]}",
        MINIMAL "compensate:\n  # energy: [rows]\n",
        MINIMAL "evaluate:\n",
        "---\n" MINIMAL "...\n",
        MINIMAL "output: 064\n", // a path
        HEAD "  length: !!int 64\nprune: !!map {method: !!str ria, sparsity: !!float 0.5}",
        MINIMAL "  skip: !!seq [!!str '64']\ncompensate: {keep_weights: !!bool true}\n",
        "\xEF\xBB\xBF" MINIMAL, // a byte order mark
    };
    (void)state;
    for (size_t i = 0; i < COUNT(jobs); i++)
        settings_free(parsed_job(jobs[i]));
}

static void anchors_and_aliases_are_taken(void **state)
{
    struct settings *s = parsed_job("model: &m /models/a\nrun: /r\ncalibration: {corpus: &c /c}\n"
                                    "prune: {method: ria, sparsity: 0.5}\nevaluate: {perplexity: *c}\n");
    (void)state;
    assert_string_equal(s->texts[0].data, "/c");
    settings_free(s);
}

static void packing_is_left_open_asked_for_or_forbidden(void **state)
{
    static const struct {
        const char *text;
        enum pack pack;
    } cases[] = {{"/c}", PACK_AUTO},
                 {"/c, pack: auto}", PACK_AUTO},
                 {"/c, pack: true}", PACK_TRUE},
                 {"/c, pack: false}", PACK_FALSE},
                 {"/c.h5, pack: false}", PACK_FALSE}, // token ids are not packed
                 {"/c.h5, pack: auto}", PACK_AUTO}};
    char text[256];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text,
                 "model: /m\nrun: /r\ncalibration: {corpus: %s\nprune: {method: ria, sparsity: 0.5}\n",
                 cases[i].text);
        struct settings *s = parsed_job(text);
        assert_int_equal(s->pack, cases[i].pack);
        settings_free(s);
    }
}

static void text_is_the_field_that_is_meant_without_one(void **state)
{
    struct settings *s = parsed_job(HEAD "  field: text\nprune: {method: ria, sparsity: 0.5}\n");
    (void)state;

    assert_null(s->field); // on record as if it had been left out
    settings_free(s);
    s = parsed_job(HEAD "  field: content\nprune: {method: ria, sparsity: 0.5}\n");
    assert_string_equal(s->field, "content");
    settings_free(s);
}

static void the_evaluation_takes_the_length_of_the_calibration(void **state)
{
    struct settings *s = parsed_job(HEAD "  length: 512\nprune: {method: ria, sparsity: 0.5}\n");
    (void)state;
    assert_int_equal(s->evaluate_length, 512);
    settings_free(s);
}

static void published_perplexities_belong_to_variants(void **state)
{
    struct settings *s =
        parsed_job(HEAD "prune: {method: [wanda, ria], sparsity: 0.5, pattern: 2:4}\n"
                        "evaluate: {perplexity: /p, length: 4096}\n"
                        "expected:\n"
                        "  dense: {perplexity: 5.12, length: 4096, source: 'a paper, table 1'}\n"
                        "  ria-2of4: {source: b, length: 2048, perplexity: 48419.12}\n");
    (void)state;
    assert_int_equal(s->num_expected, 2);
    assert_string_equal(s->expected[0].variant, "dense");
    assert_true(s->expected[0].perplexity == 5.12);
    assert_int_equal(s->expected[0].length, 4096);
    assert_string_equal(s->expected[0].source, "a paper, table 1");
    assert_ptr_equal(expected_find(s, NULL), &s->expected[0]);
    assert_null(expected_find(s, &s->variants[0]));
    assert_string_equal(s->variants[3].name, "ria-2of4");
    assert_ptr_equal(expected_find(s, &s->variants[3]), &s->expected[1]);
    assert_true(s->expected[1].perplexity == 48419.12);
    assert_int_equal(s->expected[1].length, 2048);
    settings_free(s);
}

static void tasks_are_files_or_sections(void **state)
{
    struct settings *s =
        parsed_job(MINIMAL "evaluate:\n"
                           "  tasks:\n"
                           "    - data/ARC-Easy-Test.jsonl\n"
                           "    - lambada.test.jsonl.gz\n"
                           "    - {name: boolq, data: val.jsonl, format: boolq, limit: 200}\n"
                           "    - {data: plain, delimiter: \"\\nAnswer: \"}\n"
                           "    - {data: other, delimiter: ''}\n");
    (void)state;
    assert_int_equal(s->num_tasks, 5);
    assert_string_equal(s->tasks[0].name, "ARC-Easy-Test");
    assert_string_equal(s->tasks[0].data, "data/ARC-Easy-Test.jsonl");
    assert_int_equal(s->tasks[0].format, TASK_RECOGNISED);
    assert_int_equal(s->tasks[0].limit, 0);
    assert_null(s->tasks[0].delimiter);
    assert_string_equal(s->tasks[1].name, "lambada.test");
    assert_string_equal(s->tasks[2].name, "boolq");
    assert_int_equal(s->tasks[2].format, TASK_BOOLQ);
    assert_int_equal(s->tasks[2].limit, 200);
    assert_string_equal(s->tasks[3].delimiter, "\nAnswer: ");
    assert_string_equal(s->tasks[4].delimiter, "");
    settings_free(s);
}

// The n-th allocation of coppice's own fails, for every n until the job is read: an error each time, and no
// leak (which the sanitizers would see).
static void memory_may_run_out_anywhere(void **state)
{
    static const char text[] = HEAD
        "prune: {method: [wanda, ria], sparsity: [0.5], skip: [a, b], ratios: {a: 1, b: 0}}\noutput: /o\n"
        "compensate: {energy: [[], [rows]]}\nevaluate: {perplexity: /p}\n";
    enum status status = STATUS_MEMORY;
    int n = 0;
    (void)state;
    for (; status != STATUS_OK && n < 1000; n++) {
        struct settings *settings;
        struct error err = {0};
        allocations_before_failure = n;
        status = job_parse(&settings, text, strlen(text), "job.yaml", &err);
        allocations_before_failure = -1;
        if (status != STATUS_OK) {
            assert_int_equal(status, STATUS_MEMORY);
            assert_null(settings);
            assert_non_null(strstr(err.message, "out of memory"));
        }
        settings_free(settings);
    }
    assert_true(n > 10);
}

// ---- files ---------------------------------------------------------------------------------------------

static void a_job_is_read_from_a_file(void **state)
{
    char path[] = "/tmp/coppice-test-job-XXXXXX";
    struct settings *settings;
    struct error err = {0};
    const int fd = mkstemp(path);
    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, MINIMAL, strlen(MINIMAL)), strlen(MINIMAL));
    close(fd);
    assert_int_equal(job_load(&settings, path, NULL, NULL, &err), STATUS_OK);
    assert_string_equal(settings->variants[0].name, "wanda-0.5");
    settings_free(settings);
    unlink(path);
}

static void settings_without_effect_do_not_stop_a_run_that_was_begun_with_them(void **state)
{
    static const char job[] = "model: /m\nrun: %s\ncalibration: {corpus: /c, sequences: 8}\n"
                              "prune: {method: alps, sparsity: 0.5, alpha: 0.5, allocation: measured, "
                              "measured_sequences: 16}\n";
    char run[] = "/tmp/coppice-test-job-XXXXXX", path[64], text[512];
    struct settings *settings;
    struct error err = {0};
    (void)state;

    assert_non_null(mkdtemp(run));
    snprintf(text, sizeof text, job, run);
    assert_int_equal(job_parse(&settings, text, strlen(text), "job.yaml", &err), STATUS_USAGE);
    snprintf(path, sizeof path, "%s/run.json", run);
    fclose(fopen(path, "w"));
    settings = parsed_job(text);
    assert_string_equal(settings->variants[0].name, "alps-0.5-measured");
    settings_free(settings);
    unlink(path);
    rmdir(run);
}

static void a_file_that_is_not_there_is_a_usage_error(void **state)
{
    struct settings *settings;
    struct error err = {0};
    (void)state;
    assert_int_equal(job_load(&settings, "/nowhere/job.yaml", NULL, NULL, &err), STATUS_USAGE);
    assert_int_equal(err.status, STATUS_USAGE);
    assert_non_null(strstr(err.message, "/nowhere/job.yaml"));
    assert_null(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minimal_job_gets_the_defaults),
        cmocka_unit_test(every_key_arrives_where_it_belongs),
        cmocka_unit_test(texts_have_names),
        cmocka_unit_test(values_at_the_ends_of_their_ranges_are_taken),
        cmocka_unit_test(anchors_and_aliases_are_taken),
        cmocka_unit_test(packing_is_left_open_asked_for_or_forbidden),
        cmocka_unit_test(text_is_the_field_that_is_meant_without_one),
        cmocka_unit_test(the_evaluation_takes_the_length_of_the_calibration),
        cmocka_unit_test(published_perplexities_belong_to_variants),
        cmocka_unit_test(tasks_are_files_or_sections),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(a_job_is_read_from_a_file),
        cmocka_unit_test(settings_without_effect_do_not_stop_a_run_that_was_begun_with_them),
        cmocka_unit_test(a_file_that_is_not_there_is_a_usage_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
