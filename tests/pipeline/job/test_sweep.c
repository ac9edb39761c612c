// How lists become variants, and the names that these have.
#include "kernels/pruning/allocation/budget.h"
#include "pipeline/job/variant.h"
#include "tests/support/parsed_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void assert_variants(const char *text, const char *const *names, size_t count)
{
    struct settings *settings = parsed_job(text);
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

    struct settings *s = parsed_job(
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

    struct settings *s = parsed_job(HEAD "prune: {method: wanda, sparsity: 0.5, allocation: dlp}\n");
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

    struct settings *s = parsed_job(HEAD "prune: {method: wanda, sparsity: 0.5, allocation: measured}\n");
    assert_int_equal(s->variants[0].allocation, ALLOCATION_MEASURED);
    assert_int_equal(s->variants[0].measured_sequences, 16);
    settings_free(s);
    s = parsed_job(HEAD "prune: {sparsity: 0.5, allocation: measured, measured_sequences: 8}\n");
    assert_int_equal(s->variants[0].measured_sequences, 8);
    settings_free(s);
}

static void ratios_keep_their_order_and_lines(void **state)
{
    struct settings *s = parsed_job(MINIMAL "  ratios:\n    'mlp.*': 0.7\n    layers.0.mlp.up_proj: 0\n");
    (void)state;
    assert_int_equal(s->num_ratios, 2);
    assert_string_equal(s->ratios[0].pattern, "mlp.*");
    assert_true(s->ratios[0].sparsity == 0.7 && s->ratios[0].line == 9);
    assert_string_equal(s->ratios[1].pattern, "layers.0.mlp.up_proj");
    assert_true(s->ratios[1].sparsity == 0 && s->ratios[1].line == 10);
    settings_free(s);
    s = parsed_job(MINIMAL "  ratios: {}\n");
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
    struct settings *s = parsed_job(HEAD "prune: {method: wanda, budget: {perplexity: 1.05}}\n");
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
    s = parsed_job(MINIMAL);
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
        struct settings *s = parsed_job(text);
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
    struct settings *with = parsed_job(MINIMAL "compensate: {clamp: [0.2, 5]}\n"),
                    *without = parsed_job(MINIMAL);
    (void)state;
    assert_string_equal(with->variants[0].name, without->variants[0].name);
    assert_true(with->variants[0].clamp.low == without->variants[0].clamp.low);
    assert_true(with->variants[0].clamp.high == without->variants[0].clamp.high);
    settings_free(with);
    settings_free(without);
    with = parsed_job(MINIMAL "compensate: {guard: true}\n");
    without = parsed_job(MINIMAL "compensate: {guard: false}\n");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_names_no_method_gets_the_default_one),
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
