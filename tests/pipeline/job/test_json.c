// A job as JSON: what it looks like, and back again.
#include "pipeline/job/json.h"
#include "pipeline/record/run_json/json_difference.h"
#include "tests/support/parsed_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char full_job[] =
    "model: /m\nrun: /r\noutput: /o\n"
    "calibration: {corpus: /c, sequences: 7, length: 33, seed: 9223372036854775807, keep_activations: true}\n"
    "prune:\n"
    "  method: [ria, cvr]\n  epsilon: 1e-6\n  sparsity: 0.7\n  pattern: 2:4\n  group: layer\n  propagation: "
    "dense\n"
    "  skip: ['layers.0.*', mlp.down_proj]\n"
    "compensate: {energy: [[], [rows]], clamp: [0.3, 3]}\n"
    "evaluate: {perplexity: /p, length: 99}\n";
static const char small_job[] =
    "model: /m\nrun: /r\ncalibration: {corpus: /c}\nprune: {method: wanda, sparsity: 0.5}\n";
static const char matching_job[] =
    "model: /m\nrun: /r\ncalibration: {corpus: /c}\nprune: {method: wanda, sparsity: 0.5}\n"
    "compensate: {output: [off, mixed], bias: [false, true], guard: [true, false], clamp: [0.3, 3]}\n";

static const char allocating_job[] =
    "model: /m\nrun: /r\ncalibration: {corpus: /c}\nprune:\n  method: wanda\n  sparsity: 0.5\n"
    "  allocation: [uniform, owl]\n  owl_threshold: [5, 7]\n  owl_range: 0.1\n"
    "  ratios: {'layers.0.*': 0.3, mlp.down_proj: 0}\n"
    "compensate: {keep_weights: false}\n";

static const char tasks_job[] =
    "model: /m\nrun: /r\ncalibration: {corpus: /c}\nprune: {method: wanda, sparsity: 0.5}\n"
    "evaluate: {tasks: [/a.jsonl, {data: /b, name: c, format: arc, limit: 7}, {data: /d, delimiter: ''}]}\n";

static const char texts_job[] =
    "model: /m\nrun: /r\ncalibration: {corpus: /c}\nprune: {method: wanda, sparsity: 0.5}\n"
    "evaluate: {perplexity: [{data: /a, field: b}, {name: n, data: /c}, {data: /d.txt, field: e}]}\n";
static const char single_text_job[] =
    "model: /m\nrun: /r\ncalibration: {corpus: /c}\nprune: {method: wanda, sparsity: 0.5}\n"
    "evaluate: {perplexity: {data: /a, field: b}}\n";

static const char expecting_job[] =
    "model: /m\nrun: /r\ncalibration: {corpus: /c}\nprune: {method: wanda, sparsity: 0.5}\n"
    "evaluate: {perplexity: /p}\n"
    "expected:\n"
    "  wanda-0.5: {perplexity: 6.42, length: 4096, source: a}\n"
    "  dense: {perplexity: 5, length: 2048, source: b}\n";

static json_t *json_of(const char *job)
{
    struct settings *settings = parsed_job(job);
    json_t *json = settings_to_json(settings);
    assert_non_null(json);
    settings_free(settings);
    return json;
}

static json_t *read_json(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

static void a_job_is_written_with_all_its_values(void **state)
{
    json_t *json = json_of(full_job);
    json_t *expected =
        read_json("{\"model\": \"/m\", \"run\": \"/r\", \"output\": \"/o\","
                  " \"calibration\": {\"corpus\": \"/c\", \"sequences\": 7, \"length\": 33, \"seed\": "
                  "9223372036854775807,"
                  "   \"keep_activations\": true},"
                  " \"prune\": {\"propagation\": \"dense\", \"skip\": [\"layers.0.*\", \"mlp.down_proj\"]},"
                  " \"keep_weights\": true,"
                  " \"variants\": ["
                  "  {\"name\": \"ria-0.7-layer\", \"method\": \"ria\", \"sparsity\": 0.7,"
                  "   \"group\": \"layer\", \"energy\": []},"
                  "  {\"name\": \"ria-0.7-layer-rows-clamp0.3-3\", \"method\": \"ria\", "
                  "\"sparsity\": 0.7,"
                  "   \"group\": \"layer\", \"energy\": [\"rows\"], \"guard\": true, \"clamp\": [0.3, 3.0]},"
                  "  {\"name\": \"ria-2of4\", \"method\": \"ria\", \"pattern\": \"2:4\", "
                  "\"group\": \"row\","
                  "   \"energy\": []},"
                  "  {\"name\": \"ria-2of4-rows-clamp0.3-3\", \"method\": \"ria\", "
                  "\"pattern\": \"2:4\","
                  "   \"group\": \"row\", \"energy\": [\"rows\"], \"guard\": true, \"clamp\": [0.3, 3.0]},"
                  "  {\"name\": \"cvr-alpha0.25-epsilon1e-6-0.7-layer\", \"method\": \"cvr\", \"alpha\": "
                  "0.25, \"epsilon\": 1e-6,"
                  "   \"sparsity\": 0.7, \"group\": \"layer\", \"energy\": []},"
                  "  {\"name\": \"cvr-alpha0.25-epsilon1e-6-0.7-layer-rows-clamp0.3-3\", \"method\": "
                  "\"cvr\", \"alpha\": 0.25,"
                  "   \"epsilon\": 1e-6, \"sparsity\": 0.7, \"group\": \"layer\", \"energy\": [\"rows\"], "
                  "\"guard\": true, \"clamp\": [0.3, 3.0]},"
                  "  {\"name\": \"cvr-alpha0.25-epsilon1e-6-2of4\", \"method\": \"cvr\", \"alpha\": 0.25, "
                  "\"epsilon\": 1e-6,"
                  "   \"pattern\": \"2:4\", \"group\": \"row\", \"energy\": []},"
                  "  {\"name\": \"cvr-alpha0.25-epsilon1e-6-2of4-rows-clamp0.3-3\", \"method\": \"cvr\", "
                  "\"alpha\": 0.25,"
                  "   \"epsilon\": 1e-6, \"pattern\": \"2:4\", \"group\": \"row\", \"energy\": [\"rows\"], "
                  "\"guard\": true, \"clamp\": [0.3, 3.0]}],"
                  " \"evaluate\": {\"perplexity\": \"/p\", \"length\": 99}}");
    char difference[512];
    (void)state;
    if (json_difference(expected, json, difference, sizeof difference))
        fail_msg("%s", difference);
    assert_true(json_equal(expected, json));
    json_decref(expected);
    json_decref(json);
}

static void matching_is_written_where_it_is_asked_for(void **state)
{
    json_t *json = json_of(matching_job), *variants = json_object_get(json, "variants");
    json_t *expected = read_json(
        "[{\"name\": \"wanda-0.5\", \"method\": \"wanda\", \"sparsity\": 0.5, \"group\": \"row\","
        "  \"energy\": []},"
        " {\"name\": \"wanda-0.5-output-mixed-bias-clamp0.3-3-unguarded\", \"method\": \"wanda\","
        "  \"sparsity\": 0.5, \"group\": \"row\", \"energy\": [], \"output\": \"mixed\", \"bias\": true,"
        "  \"guard\": false, \"clamp\": [0.3, 3.0]}]");
    (void)state;
    assert_int_equal(json_array_size(variants), 7); // the guard of no compensation makes no variant
    assert_true(json_equal(json_array_get(variants, 0), json_array_get(expected, 0)));
    assert_true(json_equal(json_array_get(variants, 6), json_array_get(expected, 1)));
    json_decref(json);
    json_decref(expected);
}

static void allocation_is_written_where_it_is_asked_for(void **state)
{
    json_t *json = json_of(allocating_job), *variants = json_object_get(json, "variants");
    json_t *expected =
        read_json("[[\"layers.0.*\", 0.3], [\"mlp.down_proj\", 0.0],"
                  " {\"name\": \"wanda-0.5-owl-threshold7-range0.1\", \"method\": \"wanda\","
                  "  \"sparsity\": 0.5, \"group\": \"row\", \"energy\": [], \"allocation\": \"owl\","
                  "  \"owl_threshold\": 7.0, \"owl_range\": 0.1}]");
    const json_t *ratios = json_object_get(json_object_get(json, "prune"), "ratios");
    (void)state;
    assert_int_equal(json_array_size(variants), 3); // uniform has no threshold
    assert_null(json_object_get(json_array_get(variants, 0), "allocation"));
    assert_true(json_equal(json_array_get(variants, 2), json_array_get(expected, 2)));
    assert_true(json_equal(json_array_get(ratios, 0), json_array_get(expected, 0)));
    assert_true(json_equal(json_array_get(ratios, 1), json_array_get(expected, 1)));
    assert_true(json_is_false(json_object_get(json, "keep_weights")));
    json_decref(json);
    json_decref(expected);
}

// Members and their order as every version so far wrote them: a run directory compares the text. A key that
// comes later must not show up where it has its default.
static void the_text_of_a_record_stays_as_it_is(void **state)
{
    static const char job[] =
        "model: /m\nrun: /r\ncalibration: {corpus: /c}\n"
        "prune: {method: cvr, sparsity: 0.5, allocation: owl, ratios: {a: 0.5}, activation_exponent: 0.5}\n"
        "compensate: {energy: [rows], output: mixed, bias: true}\nevaluate: {tasks: [/t.jsonl]}\n";
    static const char text[] =
        "{\"model\":\"/m\",\"run\":\"/r\",\"output\":null,\"calibration\":{\"corpus\":\"/"
        "c\",\"sequences\":128,"
        "\"length\":2048,\"seed\":0,\"keep_activations\":false},\"prune\":{\"propagation\":\"pruned\","
        "\"skip\":[],\"ratios\":[[\"a\",0.5]]},\"keep_weights\":true,\"variants\":[{\"name\":"
        "\"cvr-alpha0.25-exponent0.5-0.5-owl-rows-output-mixed-bias\",\"method\":\"cvr\",\"sparsity\":0.5,"
        "\"group\":\"row\",\"energy\":[\"rows\"],\"alpha\":0.25,\"epsilon\":1e-8,\"activation_exponent\":0.5,"
        "\"allocation\":\"owl\",\"owl_threshold\":5.0,\"owl_range\":0.080000000000000002,\"output\":"
        "\"mixed\","
        "\"bias\":true,\"guard\":true,\"clamp\":[0.10000000000000001,10.0]}],\"evaluate\":{\"perplexity\":"
        "null,"
        "\"length\":2048,\"tasks\":[{\"name\":\"t\",\"data\":\"/t.jsonl\",\"format\":null,\"limit\":null,"
        "\"delimiter\":null}]}}";
    json_t *json = json_of(job);
    char *found = json_dumps(json, JSON_COMPACT);
    (void)state;
    assert_string_equal(found, text);
    free(found);
    json_decref(json);
}

// Run directories from before there was a choice have all their weights.
static void a_job_of_old_keeps_its_weights(void **state)
{
    json_t *json = json_of(small_job);
    struct settings *settings;
    struct error err = {0};
    (void)state;
    json_object_del(json, "keep_weights");
    assert_int_equal(settings_from_json(&settings, json, "run.json", &err), STATUS_OK);
    assert_true(settings->keep_weights);
    assert_int_equal(settings->num_ratios, 0);
    settings_free(settings);
    json_decref(json);
}

static void tasks_are_written_with_their_choices(void **state)
{
    json_t *json = json_of(tasks_job);
    json_t *expected = read_json(
        "[{\"name\": \"a\", \"data\": \"/a.jsonl\", \"format\": null, \"limit\": null, \"delimiter\": null},"
        " {\"name\": \"c\", \"data\": \"/b\", \"format\": \"arc\", \"limit\": 7, \"delimiter\": null},"
        " {\"name\": \"d\", \"data\": \"/d\", \"format\": null, \"limit\": null, \"delimiter\": \"\"}]");
    (void)state;
    assert_true(json_equal(json_object_get(json_object_get(json, "evaluate"), "tasks"), expected));
    json_decref(json);
    json_decref(expected);
}

static void texts_are_written_as_they_were_before_there_were_fields(void **state)
{
    static const struct {
        const char *job, *json;
    } cases[] = {{full_job, "[\"/p\"]"},
                 {single_text_job, "[{\"data\": \"/a\", \"field\": \"b\"}]"},
                 {texts_job, "[[{\"data\": \"/a\", \"field\": \"b\"}, {\"name\": \"n\", \"data\": \"/c\"},"
                             "  {\"name\": \"d\", \"data\": \"/d.txt\", \"field\": \"e\"}]]"}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *json = json_of(cases[i].job), *expected = read_json(cases[i].json);
        assert_true(json_equal(json_object_get(json_object_get(json, "evaluate"), "perplexity"),
                               json_array_get(expected, 0)));
        json_decref(json);
        json_decref(expected);
    }
}

static void published_perplexities_are_on_record_and_may_change(void **state)
{
    json_t *json = json_of(expecting_job), *identity = settings_identity(json);
    json_t *expected =
        read_json("[{\"variant\": \"wanda-0.5\", \"perplexity\": 6.42, \"length\": 4096, \"source\": \"a\"},"
                  " {\"variant\": \"dense\", \"perplexity\": 5.0, \"length\": 2048, \"source\": \"b\"}]");
    (void)state;
    assert_true(json_equal(json_object_get(json, "expected"), expected));
    assert_null(json_object_get(identity, "expected"));
    json_decref(identity);
    json_decref(json);
    json_decref(expected);
    json = json_of(small_job); // as records without the key were written
    assert_null(json_object_get(json, "expected"));
    json_decref(json);
}

static void what_is_not_asked_for_is_null(void **state)
{
    json_t *json = json_of(small_job);
    (void)state;
    assert_true(json_is_null(json_object_get(json, "output")));
    assert_true(json_is_null(json_object_get(json_object_get(json, "evaluate"), "perplexity")));
    json_decref(json);
}

static void a_job_comes_back_from_its_json(void **state)
{
    static const char *const jobs[] = {full_job,  small_job, matching_job,    allocating_job,
                                       tasks_job, texts_job, single_text_job, expecting_job};
    (void)state;
    for (size_t i = 0; i < COUNT(jobs); i++) {
        struct settings *before = parsed_job(jobs[i]), *after = NULL;
        struct error err = {0};
        json_t *json = settings_to_json(before);
        char *text = json_dumps(json, 0); // through text, as run.json does
        json_t *again = read_json(text);
        assert_int_equal(settings_from_json(&after, again, "run.json", &err), STATUS_OK);

        json_t *json_after = settings_to_json(after);
        assert_true(json_equal(json, json_after));
        assert_int_equal(before->num_variants, after->num_variants);
        for (size_t v = 0; v < before->num_variants; v++) {
            const struct variant *a = &before->variants[v], *b = &after->variants[v];
            assert_string_equal(a->name, b->name);
            assert_true(a->method == b->method && a->group == b->group && a->is_pattern == b->is_pattern);
            assert_true(a->keep == b->keep && a->of == b->of && a->sparsity == b->sparsity);
            assert_true(a->parameters.alpha == b->parameters.alpha);
            assert_true(a->parameters.epsilon == b->parameters.epsilon);
            assert_true(a->parameters.exponent == b->parameters.exponent);
            assert_true(a->allocation == b->allocation && a->owl_threshold == b->owl_threshold &&
                        a->owl_range == b->owl_range);
            assert_true(a->output == b->output && a->bias == b->bias && a->guard == b->guard);
            assert_true(a->energy_columns == b->energy_columns && a->energy_rows == b->energy_rows);
            assert_true(a->clamp.low == b->clamp.low && a->clamp.high == b->clamp.high);
            assert_true(a->clamp.epsilon == b->clamp.epsilon);
        }
        free(text);
        json_decref(json);
        json_decref(again);
        json_decref(json_after);
        settings_free(before);
        settings_free(after);
    }
}

static void json_that_is_no_job_is_damaged(void **state)
{
    // The place where the small job's JSON is broken, the value put there, and the message.
    static const struct {
        const char *path[3], *value, *message;
    } cases[] = {
        {{"model"}, NULL, "run.json: not a job: model is missing"},
        {{"model"}, "1", "run.json: not a job: model must be a directory"},
        {{"run"}, "null", "run.json: not a job: run must be a directory"},
        {{"output"}, "[]", "run.json: not a job: output must be a directory"},
        {{"calibration", "sequences"},
         "0",
         "run.json: not a job: calibration.sequences must be a whole number from 1 to 1000000000"},
        {{"calibration", "seed"},
         "-1",
         "run.json: not a job: calibration.seed must be a whole number from 0 to 9223372036854775807"},
        {{"calibration", "seed"},
         "\"1\"",
         "run.json: not a job: calibration.seed must be a whole number from 0 to 9223372036854775807"},
        {{"prune", "propagation"},
         "\"sideways\"",
         "run.json: not a job: prune.propagation must be one of pruned, dense"},
        {{"prune", "skip"},
         "[1]",
         "run.json: not a job: prune.skip must be a list, each item a pattern of linear names"},
        {{"variants"}, "{}", "run.json: not a job: variants must be a list"},
        {{"variants"}, "[{}]", "run.json: variants[0] is not a variant of this version"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *json = json_of(small_job), *at = json;
        size_t last = 0;
        for (; cases[i].path[last + 1] != NULL; last++)
            at = json_object_get(at, cases[i].path[last]);
        if (cases[i].value == NULL)
            json_object_del(at, cases[i].path[last]);
        else
            json_object_set_new(at, cases[i].path[last], json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        struct settings *settings = NULL;
        struct error err = {0};
        assert_int_equal(settings_from_json(&settings, json, "run.json", &err), STATUS_DAMAGED);
        assert_string_equal(err.message, cases[i].message);
        assert_null(settings);
        json_decref(json);
    }
}

static void a_variant_whose_values_contradict_its_name_is_damaged(void **state)
{
    static const char *const changes[] = {
        "{\"sparsity\": 0.6}",     "{\"method\": \"ria\"}",    "{\"method\": \"best\"}",
        "{\"group\": \"all\"}",    "{\"group\": \"layer\"}",   "{\"pattern\": \"5:4\"}",
        "{\"energy\": [\"up\"]}",  "{\"energy\": [\"rows\"]}", "{\"sparsity\": 7}",
        "{\"output\": \"mixed\"}", "{\"output\": \"most\"}",   "{\"bias\": true}",
        "{\"pattern\": \"2:4x\"}", "{\"name\": \"wanda-0.6\"}"};
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++) {
        json_t *json = json_of(small_job), *change = read_json(changes[i]);
        struct settings *settings = NULL;
        struct error err = {0};
        json_object_update(json_array_get(json_object_get(json, "variants"), 0), change);
        if (settings_from_json(&settings, json, "run.json", &err) != STATUS_DAMAGED)
            fail_msg("taken: %s", changes[i]);
        json_decref(json);
        json_decref(change);
    }
}

static void a_pattern_with_a_tail_is_damaged(void **state)
{
    json_t *json =
        json_of("model: /m\nrun: /r\ncalibration: {corpus: /c}\nprune: {method: ria, pattern: 2:4}\n");
    struct settings *settings = NULL;
    struct error err = {0};
    (void)state;
    json_object_set_new(json_array_get(json_object_get(json, "variants"), 0), "pattern", json_string("2:4x"));
    assert_int_equal(settings_from_json(&settings, json, "run.json", &err), STATUS_DAMAGED);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_is_written_with_all_its_values),
        cmocka_unit_test(matching_is_written_where_it_is_asked_for),
        cmocka_unit_test(allocation_is_written_where_it_is_asked_for),
        cmocka_unit_test(the_text_of_a_record_stays_as_it_is),
        cmocka_unit_test(a_job_of_old_keeps_its_weights),
        cmocka_unit_test(tasks_are_written_with_their_choices),
        cmocka_unit_test(texts_are_written_as_they_were_before_there_were_fields),
        cmocka_unit_test(published_perplexities_are_on_record_and_may_change),
        cmocka_unit_test(what_is_not_asked_for_is_null),
        cmocka_unit_test(a_job_comes_back_from_its_json),
        cmocka_unit_test(json_that_is_no_job_is_damaged),
        cmocka_unit_test(a_variant_whose_values_contradict_its_name_is_damaged),
        cmocka_unit_test(a_pattern_with_a_tail_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
