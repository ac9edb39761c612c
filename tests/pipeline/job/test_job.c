// wrap: calloc
// The job file: what is taken, what is refused and with which line, and how lists become variants.
#include "kernels/pruning/budget.h"
#include "pipeline/job/expected.h"
#include "pipeline/job/job.h"
#include "pipeline/job/load.h"
#include "pipeline/job/variant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

// A job with nothing but what is required, and `prune` open at its end.
#define HEAD "model: /m\nrun: /r\ncalibration:\n  corpus: /c\n"
#define MINIMAL HEAD "prune:\n  method: wanda\n  sparsity: 0.5\n"

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

static struct settings *parse(const char *text)
{
    struct settings *settings = NULL;
    struct error err = {0};
    if (job_parse(&settings, text, strlen(text), "job.yaml", &err) != STATUS_OK)
        fail_msg("refused: %s\n%s", err.message, text);
    return settings;
}

// expanded[size] <- message, with the names of all methods in place of "{methods}".
static void expand_methods(char *expanded, size_t size, const char *message)
{
    static const char word[] = "{methods}";
    const char *found = strstr(message, word);
    size_t count, used;
    const char *const *names = method_names(&count);

    used = (size_t)snprintf(expanded, size, "%.*s", found != NULL ? (int)(found - message) : 1024, message);
    for (size_t i = 0; i < count && found != NULL; i++)
        used += (size_t)snprintf(expanded + used, size - used, "%s%s", i > 0 ? ", " : "", names[i]);
    if (found != NULL)
        snprintf(expanded + used, size - used, "%s", found + strlen(word));
}

static void assert_refused(const char *text, size_t size, const char *message)
{
    char expected[2048];
    struct settings *settings = (void *)"not touched";
    struct error err = {0};
    const enum status status = job_parse(&settings, text, size, "job.yaml", &err);
    if (status == STATUS_OK)
        fail_msg("taken, but should be refused with '%s':\n%s", message, text);
    expand_methods(expected, sizeof expected, message);
    assert_string_equal(err.message, expected);
    assert_int_equal(status, STATUS_USAGE);
    assert_int_equal(err.status, STATUS_USAGE);
    assert_null(settings);
    assert_null(strchr(err.message, '\n'));
}

static void assert_variants(const char *text, const char *const *names, size_t count)
{
    struct settings *settings = parse(text);
    for (size_t i = 0; i < count && i < settings->num_variants; i++)
        assert_string_equal(settings->variants[i].name, names[i]);
    assert_int_equal(settings->num_variants, count);
    settings_free(settings);
}
#define ASSERT_VARIANTS(text, ...)                         \
    do {                                                   \
        static const char *const names_[] = {__VA_ARGS__}; \
        assert_variants((text), names_, COUNT(names_));    \
    } while (0)

// ---- what is taken -------------------------------------------------------------------------------------

static void a_minimal_job_gets_the_defaults(void **state)
{
    struct settings *s = parse(MINIMAL);
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

static void who_names_no_method_gets_the_default_one(void **state)
{
    static const struct {
        const char *job, *name;
    } cases[] = {
        {HEAD "prune: {sparsity: 0.5}\n", "alps-0.5"},
        {HEAD "prune: {pattern: 2:4}\ncompensate: {bias: true}\n", "alps-2of4-bias"},
        {HEAD "prune: {sparsity: 0.5}\ncompensate: {output: off}\n", "alps-0.5"},
        {HEAD "prune: {sparsity: 0.5}\ncompensate: {energy: [rows]}\n", "alps-0.5-rows"},
        {HEAD "prune: {sparsity: 0.5}\ncompensate: {output: least_squares}\n", "alps-0.5"},
        {HEAD "prune: {method: auto, sparsity: 0.5}\n", "auto-0.5"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_variants(cases[i].job, &cases[i].name, 1);
}

static void every_key_arrives_where_it_belongs(void **state)
{
    struct settings *s = parse("# a job with all keys\n"
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
    struct settings *s = parse(MINIMAL "evaluate:\n"
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

    s = parse(MINIMAL "evaluate: {perplexity: [{name: news, data: /n}]}\n");
    assert_int_equal(s->num_texts, 1);
    assert_false(s->texts[0].is_plain);
    settings_free(s);

    s = parse(MINIMAL "evaluate: {perplexity: [{data: /data/a.jsonl, field: content}, {name: b, data: /b, "
                      "field: text}]}\n");
    assert_string_equal(s->texts[0].field, "content");
    assert_true(s->texts[0].is_plain); // a field gives no name, and no other place
    assert_null(s->texts[1].field);    // the usual one
    settings_free(s);

    s = parse(MINIMAL "evaluate: {perplexity: '/data/no name'}\n");
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
        "\xEF\xBB\xBF" MINIMAL, // a byte order mark
    };
    (void)state;
    for (size_t i = 0; i < COUNT(jobs); i++)
        settings_free(parse(jobs[i]));
}

static void anchors_and_aliases_are_taken(void **state)
{
    struct settings *s = parse("model: &m /models/a\nrun: /r\ncalibration: {corpus: &c /c}\n"
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
        struct settings *s = parse(text);
        assert_int_equal(s->pack, cases[i].pack);
        settings_free(s);
    }
}

static void text_is_the_field_that_is_meant_without_one(void **state)
{
    struct settings *s = parse(HEAD "  field: text\nprune: {method: ria, sparsity: 0.5}\n");
    (void)state;

    assert_null(s->field); // on record as if it had been left out
    settings_free(s);
    s = parse(HEAD "  field: content\nprune: {method: ria, sparsity: 0.5}\n");
    assert_string_equal(s->field, "content");
    settings_free(s);
}

static void the_evaluation_takes_the_length_of_the_calibration(void **state)
{
    struct settings *s = parse(HEAD "  length: 512\nprune: {method: ria, sparsity: 0.5}\n");
    (void)state;
    assert_int_equal(s->evaluate_length, 512);
    settings_free(s);
}

// ---- sweeps --------------------------------------------------------------------------------------------

static void lists_make_the_cartesian_product(void **state)
{
    (void)state;
    ASSERT_VARIANTS(HEAD "prune: {method: [wanda, ria], sparsity: [0.5, 0.6]}\n"
                         "compensate: {energy: [[], [columns, rows]]}\n",
                    "wanda-0.5", "wanda-0.5-columns-rows", "wanda-0.6", "wanda-0.6-columns-rows", "ria-0.5",
                    "ria-0.5-columns-rows", "ria-0.6", "ria-0.6-columns-rows");
}

static void the_methods_are_points_of_one_space(void **state)
{
    (void)state;
    ASSERT_VARIANTS(HEAD
                    "prune: {method: [wanda, cvr], alpha: [0, 0.25], epsilon: [1e-8, 1e-4], sparsity: 0.5}\n",
                    "wanda-0.5", "wanda-alpha0.25-0.5", "wanda-alpha0.25-epsilon0.0001-0.5", "cvr-alpha0-0.5",
                    "cvr-alpha0.25-0.5", "cvr-alpha0.25-epsilon0.0001-0.5");
    ASSERT_VARIANTS(
        HEAD "prune: {method: [magnitude, wanda, ria], activation_exponent: [0.25, 0.5], sparsity: 0.5}\n",
        "magnitude-exponent0.25-0.5", "magnitude-exponent0.5-0.5", "wanda-exponent0.25-0.5", "wanda-0.5",
        "ria-0.5", "ria-exponent0.5-0.5");
    ASSERT_VARIANTS(HEAD "prune: {method: cvr, activation_exponent: 0.3, alpha: 0.125, pattern: 2:4}\n",
                    "cvr-alpha0.125-exponent0.3-2of4");
    ASSERT_VARIANTS(HEAD "prune: {method: sparsegpt, activation_exponent: 0, alpha: 0, group: row, "
                         "sparsity: 0.5}\n",
                    "sparsegpt-0.5");
    ASSERT_VARIANTS(HEAD "prune: {method: [sparsegpt, magnitude], alpha: [0, 1], group: [row, layer], "
                         "sparsity: 0.5}\n",
                    "sparsegpt-0.5", "magnitude-0.5", "magnitude-0.5-layer", "magnitude-alpha1-0.5",
                    "magnitude-alpha1-0.5-layer");
    // What some variant uses the others may leave.
    ASSERT_VARIANTS(HEAD "prune: {method: [sparsegpt, cvr], alpha: 0.5, epsilon: 0.25, sparsity: 0.5}\n",
                    "sparsegpt-0.5", "cvr-alpha0.5-epsilon0.25-0.5");
    ASSERT_VARIANTS(HEAD "prune: {method: auto, alpha: 0, group: [row, layer], sparsity: 0.5}\n", "auto-0.5",
                    "auto-0.5-layer");
}

static void sparsity_and_pattern_together_are_a_union(void **state)
{
    (void)state;
    ASSERT_VARIANTS(HEAD "prune: {method: wanda, sparsity: [0.5, 0.25], pattern: [2:4, 4:8]}\n", "wanda-0.5",
                    "wanda-0.25", "wanda-2of4", "wanda-4of8");
    ASSERT_VARIANTS(HEAD "prune: {method: wanda, sparsity: 0.5, pattern: 2:4}\n", "wanda-0.5", "wanda-2of4");
}

static void a_pattern_is_not_multiplied_by_the_group(void **state)
{
    (void)state;
    ASSERT_VARIANTS(HEAD "prune: {method: wanda, sparsity: 0.5, pattern: 2:4, group: [row, layer]}\n",
                    "wanda-0.5", "wanda-0.5-layer", "wanda-2of4");
}

static void the_same_value_twice_makes_one_variant(void **state)
{
    (void)state;
    ASSERT_VARIANTS(HEAD "prune: {method: [wanda, wanda], sparsity: [0.5, 0.50, 5e-1]}\n", "wanda-0.5");
}

static void energy_is_one_choice_or_a_list_of_choices(void **state)
{
    (void)state;
    ASSERT_VARIANTS(MINIMAL "compensate: {energy: []}\n", "wanda-0.5");
    ASSERT_VARIANTS(MINIMAL "compensate: {energy: [rows]}\n", "wanda-0.5-rows");
    ASSERT_VARIANTS(MINIMAL "compensate: {energy: [columns, rows]}\n", "wanda-0.5-columns-rows");
    ASSERT_VARIANTS(MINIMAL "compensate: {energy: [[columns]]}\n", "wanda-0.5-columns");
    ASSERT_VARIANTS(MINIMAL "compensate: {energy: [[], [columns], [rows], [columns, rows]]}\n", "wanda-0.5",
                    "wanda-0.5-columns", "wanda-0.5-rows", "wanda-0.5-columns-rows");
}

static void matching_bias_and_guard_make_sweeps_too(void **state)
{
    (void)state;
    ASSERT_VARIANTS(MINIMAL "compensate: {output: [off, mixed]}\n", "wanda-0.5", "wanda-0.5-output-mixed");
    ASSERT_VARIANTS(MINIMAL "compensate: {output: [moment, regression], bias: [false, true]}\n",
                    "wanda-0.5-output-moment", "wanda-0.5-output-moment-bias", "wanda-0.5-output-regression",
                    "wanda-0.5-output-regression-bias");
    ASSERT_VARIANTS(MINIMAL "compensate: {bias: true}\n", "wanda-0.5-bias");
    ASSERT_VARIANTS(MINIMAL "compensate: {energy: [[], [rows]], guard: [true, false]}\n", "wanda-0.5",
                    "wanda-0.5-rows", "wanda-0.5-rows-unguarded");
    ASSERT_VARIANTS(MINIMAL "compensate: {energy: [columns], output: mixed, bias: true, clamp: [0.5, 2], "
                            "guard: false}\n",
                    "wanda-0.5-columns-output-mixed-bias-clamp0.5-2-unguarded");
}

static void only_a_pattern_is_permuted(void **state)
{
    (void)state;
    ASSERT_VARIANTS(HEAD "prune: {method: wanda, pattern: 2:4, permute: true}\n", "wanda-2of4-permuted");
    ASSERT_VARIANTS(HEAD "prune: {method: wanda, pattern: 2:4, permute: false}\n", "wanda-2of4");
    ASSERT_VARIANTS(HEAD "prune: {method: wanda, sparsity: 0.5, pattern: 2:4, permute: [false, true]}\n"
                         "compensate: {energy: [rows]}\n",
                    "wanda-0.5-rows", "wanda-2of4-rows", "wanda-2of4-permuted-rows");
}

static void owl_makes_a_sweep_of_its_own(void **state)
{
    static const char *const names[] = {"wanda-0.5",
                                        "wanda-0.5-owl",
                                        "wanda-0.5-owl-range0.1",
                                        "wanda-0.5-owl-threshold7",
                                        "wanda-0.5-owl-threshold7-range0.1",
                                        "wanda-2of4"};
    (void)state;
    // Lists of owl's parameters do not multiply the uniform variants, and patterns are uniform.
    assert_variants(HEAD "prune:\n  method: wanda\n  sparsity: 0.5\n  pattern: 2:4\n"
                         "  allocation: [uniform, owl]\n  owl_threshold: [5, 7]\n  owl_range: [0.08, 0.1]\n",
                    names, COUNT(names));

    struct settings *s = parse(
        HEAD "prune: {method: wanda, sparsity: 0.5, allocation: owl, owl_threshold: 3, owl_range: 0.2}\n");
    assert_int_equal(s->variants[0].allocation, ALLOCATION_OWL);
    assert_true(s->variants[0].owl_threshold == 3 && s->variants[0].owl_range == 0.2);
    settings_free(s);
}

static void dlp_makes_a_sweep_of_its_own(void **state)
{
    static const char *const names[] = {"wanda-0.5-owl", "wanda-0.5-dlp", "wanda-0.5-dlp-spread0.1"};
    (void)state;
    assert_variants(HEAD "prune:\n  method: wanda\n  sparsity: 0.5\n  allocation: [owl, dlp]\n"
                         "  dlp_alpha: [0.15, 0.1]\n",
                    names, COUNT(names));

    struct settings *s = parse(HEAD "prune: {method: wanda, sparsity: 0.5, allocation: dlp}\n");
    assert_int_equal(s->variants[0].allocation, ALLOCATION_DLP);
    assert_true(s->variants[0].dlp_alpha == 0.15);
    settings_free(s);
}

static void measured_makes_a_sweep_of_its_own(void **state)
{
    static const char *const names[] = {"wanda-0.5-measured", "wanda-0.5-measured-sequences8",
                                        "wanda-0.9-measured", "wanda-0.9-measured-sequences8"};
    (void)state;
    assert_variants(
        HEAD
        "prune: {method: wanda, sparsity: [0.5, 0.9], allocation: measured, measured_sequences: [16, 8]}\n",
        names, COUNT(names));

    struct settings *s = parse(HEAD "prune: {method: wanda, sparsity: 0.5, allocation: measured}\n");
    assert_int_equal(s->variants[0].allocation, ALLOCATION_MEASURED);
    assert_int_equal(s->variants[0].measured_sequences, 16);
    settings_free(s);
    s = parse(HEAD "prune: {sparsity: 0.5, allocation: measured, measured_sequences: 8}\n");
    assert_int_equal(s->variants[0].measured_sequences, 8);
    settings_free(s);
}

static void ratios_keep_their_order_and_lines(void **state)
{
    struct settings *s = parse(MINIMAL "  ratios:\n    'mlp.*': 0.7\n    layers.0.mlp.up_proj: 0\n");
    (void)state;
    assert_int_equal(s->num_ratios, 2);
    assert_string_equal(s->ratios[0].pattern, "mlp.*");
    assert_true(s->ratios[0].sparsity == 0.7 && s->ratios[0].line == 9);
    assert_string_equal(s->ratios[1].pattern, "layers.0.mlp.up_proj");
    assert_true(s->ratios[1].sparsity == 0 && s->ratios[1].line == 10);
    settings_free(s);
    s = parse(MINIMAL "  ratios: {}\n");
    assert_int_equal(s->num_ratios, 0);
    settings_free(s);
}

static void a_budget_stands_instead_of_a_sparsity(void **state)
{
    static const char *const names[] = {"wanda-budget1.05", "wanda-budget1.05-uniform", "wanda-budget1.1",
                                        "wanda-budget1.1-uniform"};
    (void)state;
    assert_variants(HEAD "prune: {method: wanda, budget: [{perplexity: 1.05}, {perplexity: 1.1}], "
                         "allocation: [measured, uniform]}\n",
                    names, 4);
    struct settings *s = parse(HEAD "prune: {method: wanda, budget: {perplexity: 1.05}}\n");
    assert_string_equal(s->variants[0].name, "wanda-budget1.05");
    assert_int_equal(s->variants[0].allocation, ALLOCATION_MEASURED);
    assert_true(s->variants[0].budget == 1.05 && s->variants[0].sparsity == 0);
    assert_int_equal(s->num_attempts, BUDGET_ATTEMPTS);
    for (size_t a = 0; a < s->num_attempts; a++) {
        char name[64];
        snprintf(name, sizeof name, "wanda-budget1.05~%zu", a + 1);
        assert_string_equal(s->attempts[a].name, name);
        assert_ptr_equal(s->attempts[a].base, &s->variants[0]);
        assert_int_equal(s->attempts[a].attempt, a + 1);
    }
    settings_free(s);
    s = parse(MINIMAL);
    assert_int_equal(s->num_attempts, 0);
    settings_free(s);
}

// One model is made for its weights; a sweep that is measured for its numbers.
static void a_measured_sweep_keeps_no_weights_unless_asked(void **state)
{
    static const struct {
        const char *more;
        bool kept;
    } cases[] = {
        {"", true},
        {"evaluate: {perplexity: /p}\n", true},
        {"  pattern: 2:4\n", true},
        {"  pattern: 2:4\nevaluate: {perplexity: /p}\n", false},
        {"  pattern: 2:4\nevaluate: {perplexity: /p}\noutput: /o\n", true},
        {"  pattern: 2:4\nevaluate: {perplexity: /p}\ncompensate: {keep_weights: true}\n", true},
        {"evaluate: {perplexity: /p}\ncompensate: {keep_weights: false}\n", false},
        {"  pattern: 2:4\nevaluate: {tasks: [/t.jsonl]}\n", false},
    };
    char text[1000];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        snprintf(text, sizeof text, "%s%s", MINIMAL, cases[i].more);
        struct settings *s = parse(text);
        if (s->keep_weights != cases[i].kept)
            fail_msg("%s", text);
        settings_free(s);
    }
}

static void the_clamp_is_named_only_where_it_acts(void **state)
{
    (void)state;
    ASSERT_VARIANTS(MINIMAL "compensate: {energy: [[], [rows]], clamp: [0.2, 5]}\n", "wanda-0.5",
                    "wanda-0.5-rows-clamp0.2-5");
    ASSERT_VARIANTS(MINIMAL "compensate: {bias: true, output: [off, mixed], clamp: [0.2, 5]}\n",
                    "wanda-0.5-bias", "wanda-0.5-output-mixed-bias-clamp0.2-5");
}

static void variants_with_one_name_have_one_content(void **state)
{
    struct settings *with = parse(MINIMAL "compensate: {clamp: [0.2, 5]}\n"), *without = parse(MINIMAL);
    (void)state;
    assert_string_equal(with->variants[0].name, without->variants[0].name);
    assert_true(with->variants[0].clamp.low == without->variants[0].clamp.low);
    assert_true(with->variants[0].clamp.high == without->variants[0].clamp.high);
    settings_free(with);
    settings_free(without);
    with = parse(MINIMAL "compensate: {guard: true}\n");
    without = parse(MINIMAL "compensate: {guard: false}\n");
    assert_string_equal(with->variants[0].name, without->variants[0].name);
    assert_false(with->variants[0].guard || without->variants[0].guard);
    settings_free(with);
    settings_free(without);
}

static void a_long_name_is_cut_and_stays_its_own(void **state)
{
    struct variant a = {.method = METHOD_CVR,
                        .parameters = {.alpha = 1.0 / 3, .epsilon = 1e-7 / 3, .exponent = 0.25},
                        .sparsity = 2.0 / 3,
                        .group = GROUP_LAYER,
                        .energy_columns = true,
                        .energy_rows = true,
                        .guard = true,
                        .clamp = {.low = 1.0 / 7, .high = 10.0 / 3}};
    struct variant b = a;
    (void)state;
    b.clamp.high = 20.0 / 3;
    variant_complete(&a);
    variant_complete(&b);
    assert_int_equal(strlen(a.name), sizeof a.name - 1);
    assert_string_not_equal(a.name, b.name);
    assert_memory_equal(a.name, "cvr-alpha0.3333333333333333-epsilon3.3333333333333334e-8-0.666666666666666",
                        70);
    assert_null(strpbrk(a.name, "/ \t\n"));
}

// ---- what is refused -----------------------------------------------------------------------------------

static void bad_jobs_are_refused_with_one_line(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        // the file as a whole
        {"", "job.yaml: the file is empty"},
        {"# nothing\n\n", "job.yaml: the file is empty"},
        {"- model\n", "job.yaml:1: the job: must be keys and values, got a list"},
        {"model", "job.yaml:1: the job: must be keys and values, got 'model'"},
        {MINIMAL "---\nmodel: /n\n", "job.yaml:8: a second YAML document begins here, a job is only one"},
        {"model: [/m\nrun: /r\n",
         "job.yaml:2: not valid YAML: did not find expected ',' or ']' while parsing a flow "
         "sequence"},
        {"model: /m\n run: /r\n",
         "job.yaml:2: not valid YAML: mapping values are not allowed in this context"},
        {"model: *nobody\n", "job.yaml:1: not valid YAML: found undefined alias"},
        {"model: \xff\n", "job.yaml: not valid YAML: invalid leading UTF-8 octet at byte 7"},
        {"model: \"a\\0b\"\n", "job.yaml:1: a text must not contain a NUL character"},
        {"model: \"a\\e[31mb\"\n",
         "job.yaml:1: a text must not contain control characters, such as the end of a line"},
        {"model: /m\nrun: \"a\\nb\"\n",
         "job.yaml:2: a text must not contain control characters, such as the end of a line"},
        {"model: /m\nprune: {skip: [a, \"\\u202E\"]}\n",
         "job.yaml:2: a text must not contain control characters, such as the end of a line"},
        {"model: /m\n\"\\x9b\": 1\n",
         "job.yaml:2: a text must not contain control characters, such as the end of a line"},
        // allocation
        {HEAD "prune:\n  method: wanda\n  pattern: 2:4\n  allocation: owl\n",
         "job.yaml:8: prune.allocation: a pattern N:M has the same sparsity in every layer: owl needs "
         "prune.sparsity, or uniform as well, for the patterns"},
        {HEAD "prune:\n  method: wanda\n  pattern: 2:4\n  ratios: {'*': 0.5}\n",
         "job.yaml:8: prune.ratios: a pattern N:M has the same sparsity everywhere: ratios need "
         "prune.sparsity instead of prune.pattern"},
        {MINIMAL "  permute: [false, true]\n", "job.yaml:8: prune.permute: is used with prune.pattern only"},
        {MINIMAL "  owl_range: 0.1\n",
         "job.yaml:8: prune.owl_range: is used with prune.allocation: owl only"},
        {MINIMAL "  allocation: [uniform]\n  owl_threshold: 7\n",
         "job.yaml:9: prune.owl_threshold: is used with prune.allocation: owl only"},
        {HEAD "prune:\n  method: wanda\n  pattern: 2:4\n  allocation: dlp\n",
         "job.yaml:8: prune.allocation: a pattern N:M has the same sparsity in every layer: dlp needs "
         "prune.sparsity, or uniform as well, for the patterns"},
        {MINIMAL "  allocation: owl\n  dlp_alpha: 0.1\n",
         "job.yaml:9: prune.dlp_alpha: is used with prune.allocation: dlp only"},
        {HEAD "prune:\n  method: [alps, sparsegpt]\n  sparsity: 0.5\n  drift: ignored\n"
              "compensate: {output: least_squares}\n",
         "job.yaml:8: prune.drift: is for methods that score each weight by a factor (wanda and the like), "
         "and "
         "the job has none of them"},
        {HEAD "prune:\n  method: [alps, auto]\n  sparsity: 0.5\n  alpha: [0.25, 0.5]\n",
         "job.yaml:8: prune.alpha: is for methods that score each weight by a factor (wanda and the like), "
         "and "
         "the job has none of them"},
        {HEAD "prune:\n  method: auto\n  sparsity: 0.5\n  alpha: [0, 1]\n",
         "job.yaml:8: prune.alpha: is for methods that score each weight by a factor (wanda and the like), "
         "and the job has none of them"},
        {HEAD "prune:\n  method: sparsegpt\n  sparsity: 0.5\n  group: [row, layer]\n",
         "job.yaml:8: prune.group: is for prune.sparsity, with methods other than sparsegpt, and the job has "
         "none of them"},
        {HEAD "prune:\n  method: wanda\n  pattern: 2:4\n  group: layer\n",
         "job.yaml:8: prune.group: is for prune.sparsity, with methods other than sparsegpt, and the job has "
         "none of them"},
        {HEAD "prune:\n  method: sparsegpt\n  sparsity: 0.5\n  activation_exponent: 0.5\n",
         "job.yaml:8: prune.activation_exponent: is for methods that score each weight by a factor (wanda "
         "and the "
         "like), and the job has none of them"},
        {HEAD "prune:\n  method: wanda\n  sparsity: 0.5\n  epsilon: 0.5\n",
         "job.yaml:8: prune.epsilon: is for methods whose prune.alpha is not 0, and the job has none of "
         "them"},
        {MINIMAL "  allocation: measured\n  measured_sequences: [1, 129]\n",
         "job.yaml:9: prune.measured_sequences: must not be above calibration.sequences, which is 128, got "
         "129"},
        {MINIMAL "  allocation: owl\n  measured_sequences: 8\n",
         "job.yaml:9: prune.measured_sequences: is used with prune.allocation: measured only"},
        {HEAD "prune:\n  method: wanda\n  sparsity: [0.5, 0.95]\n  allocation: measured\n",
         "job.yaml:7: prune.sparsity: must not be above 0.9 with prune.allocation: measured, which measures "
         "no "
         "linear beyond that"},
        {HEAD "prune:\n  method: wanda\n  pattern: 2:4\n  allocation: measured\n",
         "job.yaml:8: prune.allocation: a pattern N:M has the same sparsity in every layer: measured needs "
         "prune.sparsity, or uniform as well, for the patterns"},
        {MINIMAL "  budget: {perplexity: 1.05}\n",
         "job.yaml:8: prune.budget: stands instead of prune.sparsity: leave one of them out"},
        {HEAD "prune:\n  pattern: 2:4\n  budget: {perplexity: 1.05}\n",
         "job.yaml:7: prune.budget: stands instead of prune.pattern: leave one of them out"},
        {HEAD "prune:\n  budget: {perplexity: 0.9}\n", "job.yaml:6: prune.budget: must be {perplexity: times "
                                                       "the dense model's}, a number above 1, to 1000, "
                                                       "got 0.9"},
        {HEAD "prune: {budget: {perplexity: 1.05}, owl_range: 0.1}\n",
         "job.yaml:5: prune.owl_range: is used with prune.allocation: owl only"},
        {MINIMAL "  allocation: owls\n", "job.yaml:8: prune.allocation: must be one of uniform, owl, dlp, "
                                         "measured, got 'owls', did you mean owl?"},
        {MINIMAL "  ratios: 0.5\n", "job.yaml:8: prune.ratios: must be a mapping of patterns of linear names "
                                    "to numbers from 0 to 1, got 0.5"},
        {MINIMAL "  ratios: [0.5]\n", "job.yaml:8: prune.ratios: must be a mapping of patterns of linear "
                                      "names to numbers from 0 to 1, got a list"},
        {MINIMAL "  ratios:\n", "job.yaml:8: prune.ratios: must be a mapping of patterns of linear names to "
                                "numbers from 0 to 1, got "
                                "nothing"},
        {MINIMAL "  ratios:\n    a: 0.5\n    b: 1.5\n",
         "job.yaml:10: prune.ratios: the sparsity of a pattern must be a number from 0 to 1, got 1.5"},
        {MINIMAL "  ratios: {a: [0.5]}\n",
         "job.yaml:8: prune.ratios: the sparsity of a pattern must be a number from 0 to 1, got a list"},
        {MINIMAL "  ratios:\n    a: 0.5\n    b: 0.5\n    a: 0.6\n",
         "job.yaml:11: prune.ratios: 'a' is given twice, first on line 9"},
        {MINIMAL "  ratios: {'': 0.5}\n", "job.yaml:8: prune.ratios: must be a mapping of patterns of linear "
                                          "names to numbers from 0 to 1, got "
                                          "the text ''"},
        {MINIMAL "output_format: source\n", "job.yaml:8: output_format: means nothing without output"},
        {MINIMAL "output: /o\ncompensate:\n  keep_weights: false\n",
         "job.yaml:10: compensate.keep_weights: must be true where there is output, which is made from them"},
        // keys
        {MINIMAL "  sparcity: 0.5\n",
         "job.yaml:8: prune.sparcity: unknown key, did you mean prune.sparsity?"},
        {MINIMAL "  output: off\n", "job.yaml:8: prune.output: unknown key, did you mean compensate.output?"},
        {MINIMAL "sparsity: 0.5\n", "job.yaml:8: sparsity: unknown key, did you mean prune.sparsity?"},
        {MINIMAL "calibation: {}\n", "job.yaml:8: calibation: unknown key, did you mean calibration?"},
        {MINIMAL "prune.alpha: 1\n",
         "job.yaml:8: prune.alpha: unknown key, write alpha inside the section prune"},
        {MINIMAL "modle: /m\n", "job.yaml:8: modle: unknown key, did you mean model?"},
        {MINIMAL "zebra: 1\n", "job.yaml:8: zebra: unknown key"},
        {MINIMAL "\"a\\nb\": 1\n",
         "job.yaml:8: a text must not contain control characters, such as the end of a line"},
        {MINIMAL "[a, b]: 1\n", "job.yaml:8: the job: a key must be a word, got a list"},
        {MINIMAL "  ? {a: 1}\n  : 2\n", "job.yaml:8: prune: a key must be a word, got a section"},
        {MINIMAL "model: /n\n", "job.yaml:8: model: given twice, first on line 1"},
        {MINIMAL "  method: ria\n", "job.yaml:8: prune.method: given twice, first on line 6"},
        {MINIMAL "prune: {}\n", "job.yaml:8: prune: given twice, first on line 5"},
        {HEAD "prune: wanda\n", "job.yaml:5: prune: must be a section of keys, got 'wanda'"},
        {HEAD "prune: [wanda]\n", "job.yaml:5: prune: must be a section of keys, got a list"},
        // missing
        {"run: /r\ncalibration: {corpus: /c}\nprune: {method: ria, sparsity: 0.5}\n",
         "job.yaml: model: is missing"},
        {"model: /m\n", "job.yaml: run: is missing"},
        {"model: /m\nrun: /r\n", "job.yaml: calibration.corpus: is missing"},
        {"model: /m\nrun: /r\ncalibration:\n  seed: 1\n", "job.yaml:3: calibration.corpus: is missing"},
        {HEAD, "job.yaml: prune.sparsity: is missing, and so are prune.pattern and prune.budget"},
        {HEAD "prune:\n",
         "job.yaml:5: prune.sparsity: is missing, and so are prune.pattern and prune.budget"},
        {HEAD "prune: {method: ria}\n",
         "job.yaml:5: prune.sparsity: is missing, and so are prune.pattern and prune.budget"},
        // texts
        {"model:\nrun: /r\n", "job.yaml:1: model: must be a directory, got nothing"},
        {"model: ~\n", "job.yaml:1: model: must be a directory, got nothing"},
        {"model: ''\n", "job.yaml:1: model: must be a directory, got the text ''"},
        {"model: [a]\n", "job.yaml:1: model: must be a directory, got a list"},
        {"model: {a: b}\n", "job.yaml:1: model: must be a directory, got a section"},
        {MINIMAL "evaluate: {perplexity: []}\n", "job.yaml:8: evaluate.perplexity: must be a file, a folder "
                                                 "or a pattern, {data: such, name, field} or a list "
                                                 "of these, got an empty list"},
        {MINIMAL "evaluate: {perplexity: [/a/c.txt, {name: c, data: /b}]}\n",
         "job.yaml:8: evaluate.perplexity: two texts are called c: give one another name, {name: ..., data: "
         "...}"},
        {MINIMAL "evaluate: {perplexity: [/a/c.txt, /b/d e.txt]}\n",
         "job.yaml:8: evaluate.perplexity: 'd e.txt' gives no name of letters, digits, -, _ and .: write "
         "{name: ..., data: ...}"},
        {MINIMAL "evaluate: {perplexity: {name: c}}\n", "job.yaml:8: evaluate.perplexity.data: is missing"},
        {MINIMAL "evaluate: {perplexity: {name: c, data: /d, length: 8}}\n",
         "job.yaml:8: evaluate.perplexity: unknown key length; known are data, name, field"},
        {MINIMAL "  skip: mlp.*\n", "job.yaml:8: prune.skip: must be a list, got 'mlp.*'"},
        {MINIMAL "  skip: [a, [b]]\n",
         "job.yaml:8: prune.skip: must be a pattern of linear names, got a list"},
        // whole numbers
        {HEAD "  sequences: 0\n",
         "job.yaml:5: calibration.sequences: must be a whole number from 1 to 1000000000, got 0"},
        {HEAD "  sequences: 1.5\n",
         "job.yaml:5: calibration.sequences: must be a whole number from 1 to 1000000000, got 1.5"},
        {HEAD "  sequences: '8'\n",
         "job.yaml:5: calibration.sequences: must be a whole number from 1 to 1000000000, got the "
         "text '8'"},
        {HEAD "  sequences: many\n",
         "job.yaml:5: calibration.sequences: must be a whole number from 1 to 1000000000, got "
         "'many'"},
        {HEAD "  sequences: [1, 2]\n",
         "job.yaml:5: calibration.sequences: must be a whole number from 1 to 1000000000, got a "
         "list"},
        {HEAD "  length: 1\n",
         "job.yaml:5: calibration.length: must be a whole number from 2 to 10000000, got 1"},
        {HEAD "  seed: -1\n",
         "job.yaml:5: calibration.seed: must be a whole number from 0 to 9223372036854775807, got -1"},
        {HEAD "  seed: 9223372036854775808\n",
         "job.yaml:5: calibration.seed: must be a whole number from 0 to "
         "9223372036854775807, got 9223372036854775808"},
        {HEAD "  seed: 0x10\n",
         "job.yaml:5: calibration.seed: must be a whole number from 0 to 9223372036854775807, got "
         "'0x10'"},
        {MINIMAL "evaluate: {length: 1}\n",
         "job.yaml:8: evaluate.length: must be a whole number from 2 to 10000000, got 1"},
        // truth
        {HEAD "  keep_activations: yes\n",
         "job.yaml:5: calibration.keep_activations: must be true or false, got 'yes'"},
        {HEAD "  keep_activations: 'true'\n",
         "job.yaml:5: calibration.keep_activations: must be true or false, got the text "
         "'true'"},
        {HEAD "  keep_activations:\n",
         "job.yaml:5: calibration.keep_activations: must be true or false, got nothing"},
        // numbers
        {HEAD "prune:\n  method: ria\n  sparsity: 1.5\n",
         "job.yaml:7: prune.sparsity: must be a number from 0 to 1, got 1.5"},
        {HEAD "prune:\n  sparsity: -0.1\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got -0.1"},
        {HEAD "prune:\n  sparsity: 50%\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got '50%'"},
        {HEAD "prune:\n  sparsity: .nan\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got '.nan'"},
        {HEAD "prune:\n  sparsity: 0.5x\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got '0.5x'"},
        {HEAD "prune:\n  sparsity: 2:4\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got '2:4'"},
        {HEAD "prune:\n  sparsity: []\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, or a list of such, got an "
         "empty list"},
        {HEAD "prune:\n  sparsity: {a: 1}\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got a section"},
        {HEAD "prune:\n  sparsity:\n    - 0.5\n    - 7\n",
         "job.yaml:8: prune.sparsity: must be a number from 0 to 1, got 7"},
        {HEAD "prune:\n  sparsity: [[0.5]]\n",
         "job.yaml:6: prune.sparsity: must be a number from 0 to 1, got a list"},
        {HEAD "prune:\n  alpha: 8.5\n", "job.yaml:6: prune.alpha: must be a number from 0 to 8, got 8.5"},
        {HEAD "prune:\n  epsilon: 0\n", "job.yaml:6: prune.epsilon: must be a number above 0, to 1, got 0"},
        // choices
        {HEAD "prune:\n  method: wand\n",
         "job.yaml:6: prune.method: must be one of {methods}, got 'wand', did you mean wanda?"},
        {HEAD "prune:\n  method: best\n", "job.yaml:6: prune.method: must be one of {methods}, got 'best'"},
        {HEAD "prune:\n  method: Wanda\n", "job.yaml:6: prune.method: must be one of {methods}, got 'Wanda', "
                                           "did you mean wanda?"},
        {HEAD "prune:\n  method: []\n", "job.yaml:6: prune.method: must be one of {methods}, or a list of "
                                        "such, got an empty list"},
        {HEAD "prune:\n  group: column\n",
         "job.yaml:6: prune.group: must be one of row, layer, got 'column'"},
        {HEAD "prune:\n  propagation: [pruned, dense]\n",
         "job.yaml:6: prune.propagation: must be one of pruned, dense, got a "
         "list"},
        // patterns
        {HEAD "prune:\n  pattern: 5:4\n",
         "job.yaml:6: prune.pattern: must be N:M, of every M weights N are kept, 1 <= N <= M "
         "<= 32, got '5:4'"},
        {HEAD "prune:\n  pattern: 0:4\n",
         "job.yaml:6: prune.pattern: must be N:M, of every M weights N are kept, 1 <= N <= M "
         "<= 32, got '0:4'"},
        {HEAD "prune:\n  pattern: 2:64\n",
         "job.yaml:6: prune.pattern: must be N:M, of every M weights N are kept, 1 <= N <= M "
         "<= 32, got '2:64'"},
        {HEAD "prune:\n  pattern: 2:4:8\n",
         "job.yaml:6: prune.pattern: must be N:M, of every M weights N are kept, 1 <= N <= "
         "M <= 32, got '2:4:8'"},
        {HEAD "prune:\n  pattern: 0.5\n",
         "job.yaml:6: prune.pattern: must be N:M, of every M weights N are kept, 1 <= N <= M "
         "<= 32, got 0.5"},
        // compensation
        {MINIMAL "compensate: {energy: rows}\n",
         "job.yaml:8: compensate.energy: must be [], [columns], [rows] or [columns, "
         "rows], or a list of such lists, got 'rows'"},
        {MINIMAL "compensate: {energy: [columns, [rows]]}\n",
         "job.yaml:8: compensate.energy: must be [], [columns], [rows] or "
         "[columns, rows], or a list of such lists, got a list"},
        {MINIMAL "compensate: {energy: [[columns], rows]}\n",
         "job.yaml:8: compensate.energy: must be [], [columns], [rows] or "
         "[columns, rows], or a list of such lists, got 'rows'"},
        {MINIMAL "compensate: {energy: [cols]}\n",
         "job.yaml:8: compensate.energy: must be [], [columns], [rows] or [columns, "
         "rows], or a list of such lists, got 'cols'"},
        {MINIMAL "compensate: {energy: [rows, columns]}\n",
         "job.yaml:8: compensate.energy: columns come before rows, each at "
         "most once"},
        {MINIMAL "compensate: {energy: [rows, rows]}\n",
         "job.yaml:8: compensate.energy: columns come before rows, each at most "
         "once"},
        {MINIMAL "compensate: {clamp: 2}\n",
         "job.yaml:8: compensate.clamp: must be a list of two numbers, [low, high], got 2"},
        {MINIMAL "compensate: {clamp: [1, 2, 3]}\n",
         "job.yaml:8: compensate.clamp: must be a list of two numbers, [low, high], "
         "got a list"},
        {MINIMAL "compensate: {clamp: [0, 2]}\n",
         "job.yaml:8: compensate.clamp: must be a number above 0, to 1e6, got 0"},
        {MINIMAL "compensate: {clamp: [3, 2]}\n", "job.yaml:8: compensate.clamp: low must not be above high"},
        {MINIMAL "compensate: {output: on}\n", "job.yaml:8: compensate.output: must be one of off, moment, "
                                               "regression, mixed, least_squares, got 'on'"},
        {MINIMAL "compensate: {output: [mixed, moments]}\n",
         "job.yaml:8: compensate.output: must be one of off, moment, regression, mixed, least_squares, got "
         "'moments', did "
         "you "
         "mean moment?"},
        {MINIMAL "compensate: {output: true}\n", "job.yaml:8: compensate.output: must be one of off, moment, "
                                                 "regression, mixed, least_squares, got 'true'"},
        {MINIMAL "compensate: {output: least_squares, energy: [rows]}\n",
         "job.yaml:8: compensate.energy: output: least_squares sets every weight that is kept: leave energy "
         "out"},
        {MINIMAL "  drift: ignored\n",
         "job.yaml:8: prune.drift: is used with compensate.output: least_squares only"},
        {MINIMAL "compensate: {bias: off}\n",
         "job.yaml:8: compensate.bias: must be true or false, got 'off'"},
        {MINIMAL "compensate: {guard: []}\n",
         "job.yaml:8: compensate.guard: must be true or false, or a list of such, got an empty list"},
        // tasks
        {MINIMAL "evaluate: {tasks: boolq.jsonl}\n",
         "job.yaml:8: evaluate.tasks: must be a list, got 'boolq.jsonl'"},
        {MINIMAL "evaluate:\n  tasks:\n    - a.jsonl\n    - [b.jsonl]\n",
         "job.yaml:11: evaluate.tasks: must be a file, or {data: a file, name, format, limit, delimiter, "
         "shots, shots_from}, "
         "got "
         "a list"},
        {MINIMAL "evaluate:\n  tasks:\n    - a.jsonl\n    - {data: b.jsonl, lmit: 3}\n",
         "job.yaml:11: evaluate.tasks: unknown key lmit, did you mean limit?"},
        {MINIMAL "evaluate: {tasks: [{data: b, fewshot: 5}]}\n",
         "job.yaml:8: evaluate.tasks: unknown key fewshot; known are data, name, format, limit, delimiter, "
         "shots, shots_from"},
        {MINIMAL "evaluate: {tasks: [{data: b, shots: 101}]}\n",
         "job.yaml:8: evaluate.tasks.shots: must be a whole number from 0 to 100, got 101"},
        {MINIMAL "evaluate: {tasks: [{data: b, shots_from: c}]}\n",
         "job.yaml:8: evaluate.tasks.shots_from: means nothing without shots"},
        {MINIMAL "evaluate: {tasks: [{name: b}]}\n", "job.yaml:8: evaluate.tasks.data: is missing"},
        {MINIMAL "evaluate: {tasks: [{data: b, data: c}]}\n",
         "job.yaml:8: evaluate.tasks.data: given twice, first on line 8"},
        {MINIMAL "evaluate: {tasks: [{data: []}]}\n",
         "job.yaml:8: evaluate.tasks.data: must be a file, got an empty list"},
        {MINIMAL "evaluate: {tasks: [{data: b, limit: 0}]}\n",
         "job.yaml:8: evaluate.tasks.limit: must be a whole number from 1 to 1000000000, got 0"},
        {MINIMAL "evaluate: {tasks: [{data: b, name: a/b}]}\n",
         "job.yaml:8: evaluate.tasks.name: must be of letters, digits, -, _ and ., not beginning with ., 64 "
         "at "
         "most, got 'a/b'"},
        {MINIMAL "evaluate: {tasks: [{data: b, format: arc_easy}]}\n",
         "job.yaml:8: evaluate.tasks.format: must be one of boolq, rte, hellaswag, winogrande, arc, "
         "openbookqa, piqa, mmlu, lambada, multiple-choice, context-options, continuation, got 'arc_easy'"},
        {MINIMAL "evaluate: {tasks: [{data: b, delimiter: ~}]}\n",
         "job.yaml:8: evaluate.tasks.delimiter: must be a text, in quotes, got nothing"},
        {MINIMAL "evaluate: {tasks: [a/val.jsonl, b/val.jsonl.gz]}\n",
         "job.yaml:8: evaluate.tasks: two tasks are called val: give one another name, {name: ..., data: "
         "...}"},
        {MINIMAL "evaluate: {tasks: [a/b c.jsonl]}\n",
         "job.yaml:8: evaluate.tasks: 'b c.jsonl' gives no name of letters, digits, -, _ and .: write {name: "
         "..., data: ...}"},
    // published perplexities
#define EXPECTED MINIMAL "evaluate: {perplexity: /p}\nexpected:\n"
        {EXPECTED "  wanda-0.6: {perplexity: 6, length: 8, source: a}\n",
         "job.yaml:10: expected: 'wanda-0.6' is no variant of this job, did you mean wanda-0.5?"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: a}\n"
                  "  a\tb: {perplexity: 6, length: 8, source: a}\n",
         "job.yaml:11: a text must not contain control characters, such as the end of a line"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: a}\n  wanda-0.5: 6.42\n",
         "job.yaml:11: expected.wanda-0.5: must be {perplexity, length, source}, got 6.42"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: a}\n"
                  "  dense: {perplexity: 7, length: 8, source: a}\n",
         "job.yaml:11: expected: 'dense' is given twice, first on line 10"},
        {EXPECTED "  dense: {perplexity: 6, source: a}\n", "job.yaml:10: expected.dense: length is missing"},
        {EXPECTED "  dense: {length: 8, source: a}\n", "job.yaml:10: expected.dense: perplexity is missing"},
        {EXPECTED "  dense: {perplexity: 6, length: 8}\n", "job.yaml:10: expected.dense: source is missing"},
        {EXPECTED "  dense:\n    perplexity: 0.9\n    length: 8\n    source: a\n",
         "job.yaml:11: expected.dense: perplexity must be a number, 1 or more, got 0.9"},
        {EXPECTED "  dense: {perplexity: .inf, length: 8, source: a}\n",
         "job.yaml:10: expected.dense: perplexity must be a number, 1 or more, got '.inf'"},
        {EXPECTED "  dense: {perplexity: 6, length: 1, source: a}\n",
         "job.yaml:10: expected.dense: length must be a whole number from 2 to 10000000, got 1"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: [a]}\n",
         "job.yaml:10: expected.dense: source must be a text, got a list"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: a, year: 2023}\n",
         "job.yaml:10: expected.dense: has perplexity, length and source only, got 'year'"},
        {EXPECTED "  dense: {perplexity: 6, length: 8, source: a, length: 9}\n",
         "job.yaml:10: expected.dense: has each member once, got 'length'"},
        {EXPECTED "  [dense]: {perplexity: 6, length: 8, source: a}\n",
         "job.yaml:10: expected: a variant must be given by its name, got a list"},
        {MINIMAL "expected: {dense: {perplexity: 6, length: 8, source: a}}\n",
         "job.yaml:8: expected: is shown beside what is measured, and evaluate.perplexity is not given"},
#undef EXPECTED
        // directories that must differ
        {"model: /m\nrun: /r\ncalibration:\n  corpus: /c.h5\n  pack: true\nprune: {method: ria, sparsity: "
         "0.5}\n",
         "job.yaml:5: calibration.pack: must not be true where calibration.corpus holds token ids (.h5): "
         "they are sequences already, and are taken as they are"},
        {"model: /m\nrun: /r\ncalibration:\n  corpus: /c\n  pack: yes\nprune: {method: ria, sparsity: 0.5}\n",
         "job.yaml:5: calibration.pack: must be one of auto, true, false, got 'yes'"},
        {"model: /m\nrun: /m/\ncalibration: {corpus: /c}\nprune: {method: ria, sparsity: 0.5}\n",
         "job.yaml:2: run: must not be the same directory as model"},
        {MINIMAL "output: /m\n", "job.yaml:8: output: must not be the same directory as model"},
        {MINIMAL "output: /r//\n", "job.yaml:8: output: must not be the same directory as run"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_refused(cases[i].text, strlen(cases[i].text), cases[i].message);
}

static void published_perplexities_belong_to_variants(void **state)
{
    struct settings *s = parse(HEAD "prune: {method: [wanda, ria], sparsity: 0.5, pattern: 2:4}\n"
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
    struct settings *s = parse(MINIMAL "evaluate:\n"
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

static void long_values_are_cut_in_messages_between_characters(void **state)
{
    static const char *const begins[] = {"", "a"}; // so that the cut falls on either byte of an "é"
    char text[4096], message[4096], value[256];
    (void)state;
    for (size_t i = 0; i < COUNT(begins); i++) {
        snprintf(value, sizeof value, "%s%s", begins[i],
                 "éééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé");
        const size_t kept = i == 0 ? 44 : 43;
        snprintf(text, sizeof text, "%sprune:\n  method: %s\n", HEAD, value);
        snprintf(message, sizeof message,
                 "job.yaml:6: prune.method: must be one of {methods}, got "
                 "'%.*s...'",
                 (int)kept, value);
        assert_refused(text, strlen(text), message);
    }
}

static void too_many_variants_are_refused(void **state)
{
    char text[16384];
    (void)state;
    size_t used = (size_t)snprintf(text, sizeof text, "%sprune:\n  method: cvr\n  sparsity: [0.5", HEAD);
    for (int i = 1; i < 100; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", 0.%02d", i);
    used += (size_t)snprintf(text + used, sizeof text - used, "]\n  alpha: [1");
    for (int i = 1; i < 100; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, ", 0.%02d", i);
    used += (size_t)snprintf(text + used, sizeof text - used, "]\n");
    assert_refused(text, used, "job.yaml: prune: the lists make more than 4096 variants, split the job");
}

// Names are compared pair by pair, and LibYAML's time grows with the square of the depth: both are bounded.
static void what_is_larger_than_any_job_is_refused(void **state)
{
    enum { ITEMS = 60000, DEPTH = 100000 };
    const size_t room = 20 * ITEMS;
    char *text = malloc(room);
    size_t used = (size_t)snprintf(text, room, "prune:\n  ratios: {");
    (void)state;

    assert_non_null(text);
    for (size_t i = 0; i < ITEMS; i++)
        used += (size_t)snprintf(text + used, room - used, "%sp%zu: 0.5", i > 0 ? "," : "", i);
    used += (size_t)snprintf(text + used, room - used, "}\n");
    assert_refused(text, used,
                   "job.yaml:2: a section of 60000 entries begins here, and at most 4096 are taken");

    memset(text, '[', DEPTH);
    assert_refused(text, DEPTH,
                   "job.yaml:1: lists and sections are 33 deep in one another here, deeper than any key's");
    for (size_t i = 0; i < 100; i++)
        memcpy(text + 2 * i, "- ", 2);
    assert_refused(text, 200,
                   "job.yaml:1: lists and sections are 33 deep in one another here, deeper than any key's");
    free(text);

    text = calloc(1, ((size_t)1 << 20) + 1);
    assert_non_null(text);
    memset(text, '#', ((size_t)1 << 20) + 1);
    assert_refused(text, ((size_t)1 << 20) + 1,
                   "job.yaml: has 1048577 bytes, and a job has at most 1048576: is it one?");
    free(text);
}

// Cut anywhere, a job is refused in one line or taken; it never brings the parser down.
static void every_beginning_of_a_job_is_handled(void **state)
{
    static const char text[] =
        "model: &m /m\nrun: '/r'\ncalibration: {corpus: \"/c\", seed: 1}\nprune:\n"
        "  method: [wanda, cvr]\n  sparsity: [0.5]\n  ratios: {a: 0.5, \"b\": 1}\n  skip: [a, b]\n"
        "  allocation: owl\n  owl_range: 0.1\ncompensate:\n"
        "  energy: [[], [columns, rows]]\n  clamp: [0.5, 2]\nevaluate: {perplexity: *m}\n";
    (void)state;
    for (size_t size = 0; size < sizeof text; size++) {
        struct settings *settings;
        struct error err = {0};
        char *copy = malloc(size != 0 ? size : 1); // of this very size, so that reading past it is noticed
        memcpy(copy, text, size);
        if (job_parse(&settings, copy, size, "job.yaml", &err) != STATUS_OK) {
            assert_int_equal(err.status, STATUS_USAGE);
            assert_memory_equal(err.message, "job.yaml", 8);
        }
        settings_free(settings);
        free(copy);
    }
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
    settings = parse(text);
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
        cmocka_unit_test(who_names_no_method_gets_the_default_one),
        cmocka_unit_test(every_key_arrives_where_it_belongs),
        cmocka_unit_test(values_at_the_ends_of_their_ranges_are_taken),
        cmocka_unit_test(anchors_and_aliases_are_taken),
        cmocka_unit_test(packing_is_left_open_asked_for_or_forbidden),
        cmocka_unit_test(text_is_the_field_that_is_meant_without_one),
        cmocka_unit_test(the_evaluation_takes_the_length_of_the_calibration),
        cmocka_unit_test(lists_make_the_cartesian_product),
        cmocka_unit_test(the_methods_are_points_of_one_space),
        cmocka_unit_test(sparsity_and_pattern_together_are_a_union),
        cmocka_unit_test(a_pattern_is_not_multiplied_by_the_group),
        cmocka_unit_test(the_same_value_twice_makes_one_variant),
        cmocka_unit_test(energy_is_one_choice_or_a_list_of_choices),
        cmocka_unit_test(matching_bias_and_guard_make_sweeps_too),
        cmocka_unit_test(only_a_pattern_is_permuted),
        cmocka_unit_test(owl_makes_a_sweep_of_its_own),
        cmocka_unit_test(dlp_makes_a_sweep_of_its_own),
        cmocka_unit_test(measured_makes_a_sweep_of_its_own),
        cmocka_unit_test(ratios_keep_their_order_and_lines),
        cmocka_unit_test(a_budget_stands_instead_of_a_sparsity),
        cmocka_unit_test(a_measured_sweep_keeps_no_weights_unless_asked),
        cmocka_unit_test(the_clamp_is_named_only_where_it_acts),
        cmocka_unit_test(variants_with_one_name_have_one_content),
        cmocka_unit_test(a_long_name_is_cut_and_stays_its_own),
        cmocka_unit_test(bad_jobs_are_refused_with_one_line),
        cmocka_unit_test(published_perplexities_belong_to_variants),
        cmocka_unit_test(tasks_are_files_or_sections),
        cmocka_unit_test(long_values_are_cut_in_messages_between_characters),
        cmocka_unit_test(too_many_variants_are_refused),
        cmocka_unit_test(what_is_larger_than_any_job_is_refused),
        cmocka_unit_test(every_beginning_of_a_job_is_handled),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(a_job_is_read_from_a_file),
        cmocka_unit_test(settings_without_effect_do_not_stop_a_run_that_was_begun_with_them),
        cmocka_unit_test(texts_have_names),
        cmocka_unit_test(a_file_that_is_not_there_is_a_usage_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
