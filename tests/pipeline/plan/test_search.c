// The search as files: which sparsity an attempt has, what is done and what nobody asks for any more.
#include "pipeline/plan/plan.h"

#include "io/file/sealed_json.h"
#include "kernels/pruning/allocation/budget.h"
#include "stages/budget/trials.h"
#include "tests/support/planned_job.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char text[] = "prune: {method: wanda, budget: {perplexity: 1.1}, allocation: uniform}\n"
                           "evaluate: {perplexity: @/jobs/demo/test.jsonl}\n";

static const double dense = 2.5; // its mean cross-entropy

struct search {
    struct planned_job job;
    const struct settings *settings;
    const struct variant *variant; // that is searched
    char *folder;
};

static void begin(struct search *search)
{
    planned_job_create(&search->job, text);
    search->folder = temporary_folder_create();
    free(search->job.settings->run);
    search->job.settings->run = strdup(search->folder);
    search->settings = search->job.settings;
    search->variant = &search->settings->variants[0];
}

static void end(struct search *search)
{
    temporary_folder_remove(search->folder);
    planned_job_free(&search->job);
}

static const struct variant *attempt(const struct search *search, size_t a)
{
    return &search->settings->attempts[a - 1];
}

static void measure(const struct search *search, const struct variant *variant, double sparsity,
                    double excess)
{
    const struct budget_measured measured = {dense + excess, 32, 256};
    struct error err = {0};
    assert_ok(budget_measured_write(&measured, search->settings, variant, sparsity, &err), err);
}

static double sparsity_of(const struct search *search, const struct variant *variant)
{
    struct variant resolved;
    struct error err = {0};
    if (budget_resolve(&resolved, search->settings, variant, &err) != STATUS_OK)
        return -1;
    assert_string_equal(resolved.name, variant->name);
    return resolved.sparsity;
}

static bool is_done(const struct search *search, enum stage_kind stage, const struct variant *variant)
{
    const struct unit unit = {.stage = stage,
                              .variant = variant,
                              .layer = stage_row(stage)->unit_of == UNIT_OF_LAYER ? 0 : NO_LAYER};
    return unit_is_done(&unit, search->settings, NULL);
}

static bool is_not_needed(const struct search *search, enum stage_kind stage, const struct variant *variant)
{
    const struct unit unit = {.stage = stage, .variant = variant, .layer = NO_LAYER};
    return unit_is_not_needed(&unit, search->settings);
}

// excess = s^2: the bound of 10 % is at 0.3087.
static void conclude(const struct search *search)
{
    struct budget_trials trials;
    struct error err = {0};
    budget_trials_read(&trials, search->settings, search->variant, BUDGET_ATTEMPTS);
    assert_true(budget_is_over(&trials));
    assert_ok(budget_result_write(&trials, search->settings, search->variant, &err), err);
}

static void an_attempt_has_the_sparsity_that_follows_from_those_before(void **state)
{
    struct budget_trial trials[BUDGET_ATTEMPTS];
    const struct budget_goal goal = {log(1.1), 0.9};
    struct search search;
    size_t a = 1;
    (void)state;

    begin(&search);
    assert_true(sparsity_of(&search, attempt(&search, 1)) == -1); // the dense model comes first
    measure(&search, NULL, 0, 0);
    for (double next; (next = budget_next(&goal, trials, a - 1)) >= 0; a++) {
        assert_true(sparsity_of(&search, attempt(&search, a)) == next);
        if (a < BUDGET_ATTEMPTS)
            assert_true(sparsity_of(&search, attempt(&search, a + 1)) == -1);
        assert_false(is_done(&search, STAGE_SCORE, attempt(&search, a)));
        assert_false(is_done(&search, STAGE_ATTEMPT, attempt(&search, a)));
        trials[a - 1] = (struct budget_trial){next, next * next};
        measure(&search, attempt(&search, a), next, next * next);
        assert_true(sparsity_of(&search, attempt(&search, a)) == next); // when it is made again
        assert_true(is_done(&search, STAGE_SCORE, attempt(&search, a)));
        assert_true(is_done(&search, STAGE_COMPENSATE, attempt(&search, a)));
        assert_true(is_done(&search, STAGE_ATTEMPT, attempt(&search, a)));
        assert_false(is_not_needed(&search, STAGE_SCORE, attempt(&search, a)));
        if (budget_next(&goal, trials, a) >= 0 && a < BUDGET_ATTEMPTS)
            assert_false(is_not_needed(&search, STAGE_ATTEMPT, attempt(&search, a + 1)));
    }
    assert_in_range(a, 3, BUDGET_ATTEMPTS); // it ends before the last
    for (; a <= BUDGET_ATTEMPTS; a++) {
        assert_true(is_done(&search, STAGE_CALIBRATE, attempt(&search, a)));
        assert_true(is_done(&search, STAGE_PROPAGATE, attempt(&search, a)));
        assert_true(is_done(&search, STAGE_ATTEMPT, attempt(&search, a)));
        assert_true(is_not_needed(&search, STAGE_SCORE, attempt(&search, a)));
        assert_true(is_not_needed(&search, STAGE_ATTEMPT, attempt(&search, a)));
    }
    assert_true(sparsity_of(&search, search.variant) == -1);
    assert_false(is_not_needed(&search, STAGE_SCORE, search.variant));
    assert_false(is_done(&search, STAGE_ATTEMPT, search.variant));
    assert_false(is_done(&search, STAGE_SCORE, search.variant));
    conclude(&search);
    assert_true(fabs(sparsity_of(&search, search.variant) - sqrt(log(1.1))) < 0.01);
    assert_true(is_done(&search, STAGE_ATTEMPT, search.variant));
    assert_false(is_done(&search, STAGE_SCORE, search.variant)); // its masks are to be made
    assert_false(is_done(&search, STAGE_EVALUATE, search.variant));
    assert_false(budget_is_broken(search.settings, search.variant));
    end(&search);
}

static void a_verdict_that_is_gone_is_made_again_and_the_later_ones_stand(void **state)
{
    char path[PATH_SIZE];
    struct search search;
    (void)state;

    begin(&search);
    measure(&search, NULL, 0, 0);
    for (size_t a = 1; a <= 2; a++) {
        const double sparsity = sparsity_of(&search, attempt(&search, a));
        measure(&search, attempt(&search, a), sparsity, a == 1 ? 0.03 : 0.3);
    }
    const double third = sparsity_of(&search, attempt(&search, 3));
    budget_path(path, search.settings, attempt(&search, 1));
    assert_int_equal(unlink(path), 0);
    assert_false(is_done(&search, STAGE_SCORE, attempt(&search, 1)));
    assert_false(is_done(&search, STAGE_ATTEMPT, attempt(&search, 1)));
    assert_true(sparsity_of(&search, attempt(&search, 3)) == -1);
    measure(&search, attempt(&search, 1), sparsity_of(&search, attempt(&search, 1)), 0.03);
    assert_true(is_done(&search, STAGE_ATTEMPT, attempt(&search, 2)));
    assert_true(sparsity_of(&search, attempt(&search, 3)) == third);
    end(&search);
}

static void a_search_without_a_model_within_the_bound_leaves_nothing_to_do(void **state)
{
    struct budget_result result;
    struct search search;
    struct error err = {0};
    size_t a = 1;
    (void)state;

    begin(&search);
    measure(&search, NULL, 0, 0);
    for (double next; a <= BUDGET_ATTEMPTS && (next = sparsity_of(&search, attempt(&search, a))) >= 0; a++)
        measure(&search, attempt(&search, a), next, 0.2 + next);
    conclude(&search);
    assert_true(budget_is_broken(search.settings, search.variant));
    assert_ok(budget_result_read(&result, search.settings, search.variant, &err), err);
    assert_true(!result.found && result.sparsity == BUDGET_LOWEST);
    assert_true(fabs(result.mean_nll - result.dense - 0.2 - BUDGET_LOWEST) < 1e-12);
    assert_true(is_done(&search, STAGE_SCORE, search.variant));
    assert_true(is_done(&search, STAGE_EVALUATE, search.variant));
    assert_true(is_done(&search, STAGE_EXPORT, search.variant));
    assert_true(is_not_needed(&search, STAGE_EXPORT, search.variant));
    assert_false(is_not_needed(&search, STAGE_ATTEMPT, search.variant));
    assert_false(is_not_needed(&search, STAGE_SCORE, NULL));
    end(&search);
}

static void another_variant_has_its_own_sparsity(void **state)
{
    const struct variant half = {.name = "wanda-0.5", .sparsity = 0.5};
    struct search search;
    (void)state;

    begin(&search);
    assert_true(sparsity_of(&search, &half) == 0.5);
    assert_false(budget_is_broken(search.settings, &half));
    end(&search);
}

// The items of an evaluation that a file has, from `first` on.
static void keep(const struct search *search, const struct unit *unit, long first, long count)
{
    char folder[PATH_SIZE], path[PATH_SIZE];
    json_t *items = json_array();
    json_t *part = json_pack("{s:{s:i}, s:o}", "of", unit->stage == STAGE_TASKS ? "options" : "windows", 8,
                             "items", items);
    struct error err = {0};

    for (long i = first; i < first + count; i++)
        json_array_append_new(items, json_pack("[I, s]", (json_int_t)i, "0000000000000000"));
    unit_parts_path(folder, unit, search->settings);
    path_format(path, sizeof path, "%s/%08ld.json", folder, first);
    assert_ok(sealed_json_write(path, part, &err), err);
    json_decref(part);
}

static void an_interrupted_evaluation_is_done_as_far_as_it_was_kept(void **state)
{
    const struct run_record nothing = {0};
    struct search search;
    char path[PATH_SIZE];
    json_t *result = json_object();
    struct error err = {0};
    (void)state;

    begin(&search);
    struct unit unit = {.stage = STAGE_EVALUATE, .layer = NO_LAYER};
    assert_true(unit_share(&unit, search.settings, &nothing) == 0);
    keep(&search, &unit, 0, 3);
    assert_true(unit_share(&unit, search.settings, &nothing) == 0.375);
    keep(&search, &unit, 3, 1);
    assert_true(unit_share(&unit, search.settings, &nothing) == 0.5);
    keep(&search, &unit, 4, 4); // all, but there is no result
    const double all = unit_share(&unit, search.settings, &nothing);
    assert_true(all < 1 && all > 0.999);
    unit_path(path, &unit, search.settings);
    assert_ok(sealed_json_write(path, result, &err), err);
    assert_true(unit_share(&unit, search.settings, &nothing) == 1);
    unit.variant = search.variant; // another model's
    assert_true(unit_share(&unit, search.settings, &nothing) == 0);
    json_decref(result);
    end(&search);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attempt_has_the_sparsity_that_follows_from_those_before),
        cmocka_unit_test(a_verdict_that_is_gone_is_made_again_and_the_later_ones_stand),
        cmocka_unit_test(a_search_without_a_model_within_the_bound_leaves_nothing_to_do),
        cmocka_unit_test(another_variant_has_its_own_sparsity),
        cmocka_unit_test(an_interrupted_evaluation_is_done_as_far_as_it_was_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
