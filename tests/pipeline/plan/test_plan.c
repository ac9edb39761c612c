// The order of the units: nothing reads what comes later, for every kind of job; and how work is shared out.
#include "io/file/run/run_directory.h"
#include "kernels/pruning/allocation/budget.h"
#include "pipeline/plan/shared.h"
#include "pipeline/plan/unit_input.h"
#include "stages/stage.h"
#include "tests/support/planned_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char results[] =
    "evaluate: {perplexity: @/jobs/demo/test.jsonl,"
    " tasks: [@/tests/golden/tasks/boolq.jsonl, @/tests/golden/tasks/lambada.jsonl]}\n";

static const struct {
    const char *name, *text;
} jobs[] = {
    {"dense", "output: /nonexistent/models\n"
              "prune: {method: [wanda, cvr, sparsegpt], sparsity: 0.5, propagation: dense}\n"
              "compensate: {energy: [columns]}\n"},
    {"dense, owl", "prune: {method: [wanda, auto, sparsegpt], sparsity: [0.5, 0.6], allocation: owl,"
                   " propagation: dense}\n"},
    {"dense, matched, weights not kept",
     "prune: {method: [magnitude, sparsegpt], sparsity: 0.5, propagation: dense}\n"
     "compensate: {energy: [], output: [off, regression], keep_weights: false}\n"},
    {"pruned", "output: /nonexistent/models\n"
               "prune: {method: [wanda, cvr, sparsegpt], sparsity: 0.5, propagation: pruned}\n"
               "compensate: {energy: [columns]}\n"},
    {"pruned, owl", "prune: {method: [wanda, auto], sparsity: [0.5, 0.6], allocation: owl,"
                    " propagation: pruned}\n"},
    {"pruned, owl and dlp", "prune: {method: wanda, sparsity: [0.5, 0.6], allocation: [owl, dlp],"
                            " dlp_alpha: [0.1, 0.15], propagation: pruned}\n"},
    {"pruned, measured", "prune: {method: [wanda, ria], sparsity: [0.5, 0.6], allocation: measured,"
                         " propagation: pruned}\n"},
    {"pruned, one is matched", "prune: {method: magnitude, sparsity: 0.5, propagation: pruned}\n"
                               "compensate: {output: [off, regression], keep_weights: false}\n"},
    {"pruned, two are matched", "prune: {method: [magnitude, wanda], sparsity: 0.5, propagation: pruned}\n"
                                "compensate: {output: regression, guard: false}\n"},
    {"dense, a budget",
     "output: /nonexistent/models\n"
     "prune: {method: [wanda, sparsegpt], budget: {perplexity: 1.05}, propagation: dense}\n"
     "compensate: {output: regression}\n"},
    {"pruned, a budget", "prune: {method: wanda, budget: {perplexity: 1.05}, allocation: uniform}\n"
                         "compensate: {output: least_squares}\n"},
};
enum { NUM_JOBS = sizeof jobs / sizeof *jobs };

static void plan_job(struct planned_job *job, size_t i)
{
    char text[2048];
    snprintf(text, sizeof text, "%s%s", jobs[i].text, results);
    planned_job_create(job, text);
}

// Whether `before` is over, or has the file, when `after` begins: in an earlier phase, or earlier in the
// chain.
static bool comes_before(const struct unit *before, const struct unit *after)
{
    return before->phase < after->phase ||
           (before->phase == after->phase && before->chain == after->chain && before < after);
}

// Hessians have no unit of their own: the layer's calibration makes them.
static bool is_made_by(const struct planned_job *job, const struct unit *unit, const char *path)
{
    char proof[PATH_SIZE], *hessian;

    unit_path(proof, unit, job->settings);
    if (strcmp(proof, path) == 0)
        return true;
    if (unit->stage != STAGE_CALIBRATE || (hessian = strstr(path, "/hessians/")) == NULL)
        return false;
    return strcmp(strstr(proof, "/statistics/") + strlen("/statistics/"), hessian + strlen("/hessians/")) ==
           0;
}

static void every_input_is_made_by_a_unit_before(void **state)
{
    (void)state;
    for (size_t j = 0; j < NUM_JOBS; j++) {
        struct planned_job job;
        char path[PATH_SIZE];
        plan_job(&job, j);
        for (size_t i = 0; i < job.plan.num_units; i++) {
            const struct unit *unit = &job.plan.units[i];
            for (size_t k = 0; unit_input(path, unit, job.settings, 4, k); k++) {
                size_t m = 0;
                while (m < job.plan.num_units && !(is_made_by(&job, &job.plan.units[m], path) &&
                                                   comes_before(&job.plan.units[m], unit)))
                    m++;
                if (m == job.plan.num_units)
                    fail_msg("%s: %s of %s reads %s, which no unit makes before", jobs[j].name,
                             stage_name(unit->stage), unit_variant_name(unit), path);
            }
        }
        planned_job_free(&job);
    }
}

static bool of_an_allocation(enum stage_kind stage)
{
    return stage == STAGE_OUTLIERS || stage == STAGE_MEDIANS || stage == STAGE_CURVES;
}

// Two units of one proof would do the work twice. What allocations look at is shared, and named by each
// variant.
static void no_file_is_made_by_two_units(void **state)
{
    (void)state;
    for (size_t j = 0; j < NUM_JOBS; j++) {
        struct planned_job job;
        plan_job(&job, j);
        for (size_t a = 0; a < job.plan.num_units; a++)
            for (size_t b = 0; b < a; b++) {
                char one[PATH_SIZE], other[PATH_SIZE];
                unit_path(one, &job.plan.units[a], job.settings);
                unit_path(other, &job.plan.units[b], job.settings);
                if (!of_an_allocation(job.plan.units[a].stage) && strcmp(one, other) == 0)
                    fail_msg("%s: %s is made twice", jobs[j].name, one);
            }
        planned_job_free(&job);
    }
}

// The number of units of each kind: of 4 layers, 2 tasks and so many variants.
static void units_are_counted_by_layers_variants_and_tasks(void **state)
{
    static const struct {
        size_t job, variants;
        size_t units[11];
    } cases[] = {
        //        sequences calibrate outliers medians curves score compensate propagate evaluate tasks export
        {0, 3, {1, 4, 0, 0, 0, 12, 12, 0, 4, 8, 3}},    {1, 6, {1, 4, 24, 0, 0, 24, 0, 0, 7, 14, 0}},
        {2, 4, {1, 4, 0, 0, 0, 16, 8, 6, 5, 10, 0}},    {3, 3, {1, 12, 0, 0, 0, 12, 12, 9, 4, 8, 3}},
        {4, 4, {1, 20, 16, 0, 0, 16, 0, 12, 5, 10, 0}}, {5, 6, {1, 28, 8, 16, 0, 24, 0, 18, 7, 14, 0}},
        {6, 4, {1, 20, 0, 0, 16, 16, 0, 12, 5, 10, 0}}, {7, 2, {1, 8, 0, 0, 0, 8, 4, 9, 3, 6, 0}},
        {8, 2, {1, 8, 0, 0, 0, 8, 8, 9, 3, 6, 0}},      {9, 2, {1, 4, 0, 0, 8, 56, 56, 42, 3, 6, 2}},
        {10, 1, {1, 0, 0, 0, 0, 28, 28, 24, 2, 4, 0}},
    };
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct planned_job job;
        static const enum stage_kind counted[] = {
            STAGE_SEQUENCES,  STAGE_CALIBRATE, STAGE_OUTLIERS, STAGE_MEDIANS, STAGE_CURVES, STAGE_SCORE,
            STAGE_COMPENSATE, STAGE_PROPAGATE, STAGE_EVALUATE, STAGE_TASKS,   STAGE_EXPORT};
        size_t units[STAGE_COUNT] = {0};
        plan_job(&job, cases[c].job);
        assert_int_equal(job.settings->num_variants, cases[c].variants);
        for (size_t i = 0; i < job.plan.num_units; i++)
            units[job.plan.units[i].stage]++;
        for (size_t s = 0; s < sizeof counted / sizeof *counted; s++)
            if (units[counted[s]] != cases[c].units[s])
                fail_msg("%s: %zu units of %s, not %zu", jobs[cases[c].job].name, units[counted[s]],
                         stage_name(counted[s]), cases[c].units[s]);
        // The text, and the dense model, each attempt and the end of each search on it.
        const bool searches = settings_search(job.settings);
        assert_int_equal(units[STAGE_HELD_OUT], searches);
        assert_int_equal(units[STAGE_ATTEMPT], searches ? 1 + cases[c].variants * (BUDGET_ATTEMPTS + 1) : 0);
        planned_job_free(&job);
    }
}

// Variants of one threshold, or all with dlp, share a file, which is work for the first of them: of each of 4
// layers.
static void what_allocations_share_is_work_once(void **state)
{
    static const struct {
        const char *text;
        size_t variants, with_work;
    } cases[] = {
        {"prune: {method: [wanda, ria], sparsity: [0.5, 0.6], allocation: owl, owl_threshold: 5}\n", 4, 4},
        {"prune: {method: wanda, sparsity: 0.5, allocation: owl, owl_threshold: [3, 5]}\n", 2, 8},
        {"prune: {method: [wanda, ria], sparsity: 0.5, allocation: dlp, dlp_alpha: [0.1, 0.2]}\n", 4, 4},
        {"prune: {method: wanda, sparsity: 0.5, allocation: [owl, dlp]}\n", 2, 8},
        // By the scores of wanda, which stand for those of sparsegpt, and by those of ria.
        {"prune: {method: [wanda, ria, sparsegpt], sparsity: [0.5, 0.6], allocation: measured}\n", 6, 8}};
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct planned_job job;
        size_t units = 0, with_work = 0;
        planned_job_create(&job, cases[c].text);
        for (size_t i = 0; i < job.plan.num_units; i++) {
            units += of_an_allocation(job.plan.units[i].stage) ? 1 : 0;
            with_work += of_an_allocation(job.plan.units[i].stage) && job.plan.units[i].work > 0 ? 1 : 0;
        }
        assert_int_equal(units, 4 * cases[c].variants);
        assert_int_equal(with_work, cases[c].with_work);
        planned_job_free(&job);
    }
}

// Ranks that the phases have work for: calibration and the dense model's evaluation, scoring, and the
// variants' evaluation.
static void work_is_shared_out_by_sequences_windows_or_rows(void **state)
{
    const unsigned all = ~0U, calibrate = 1U << STAGE_CALIBRATE;
    struct planned_job job;
    (void)state;
    planned_job_create(&job, "prune: {method: wanda, sparsity: 0.5, propagation: dense}\n"
                             "evaluate: {perplexity: @/jobs/demo/test.jsonl}\n");
    assert_int_equal(plan_useful_ranks(&job.plan, 0, all, 13), 32);
    assert_int_equal(plan_useful_ranks(&job.plan, 0, all, 99), 99);
    assert_int_equal(plan_useful_ranks(&job.plan, 0, calibrate, 99), 32);
    assert_true(plan_useful_ranks(&job.plan, 1, all, 99) == SIZE_MAX);
    assert_int_equal(plan_useful_ranks(&job.plan, 2, all, 99), 99);
    planned_job_free(&job);
}

static void some_variants_keep_their_units_and_the_sequences(void **state)
{
    const char *const patterns[] = {"cvr*"}, *const unknown[] = {"ria*"};
    const char *names[8];
    struct planned_job job;
    struct error err = {0};
    uint8_t chosen[256];
    (void)state;
    plan_job(&job, 0);
    assert_int_equal(plan_choose(chosen, &job.plan, unknown, 1, &err), STATUS_USAGE);
    assert_int_equal(plan_choose(chosen, &job.plan, patterns, 1, &err), STATUS_OK);
    assert_int_equal(plan_names(&job.plan, chosen, names), 1);
    plan_keep(&job.plan, chosen);
    assert_int_equal(job.plan.num_units, 1 + 4 + 4 + 1 + 2 + 1);
    assert_string_equal(names[0], job.settings->variants[1].name);
    planned_job_free(&job);
}

// Counts the units of a stage without a variant among the chosen ones.
static size_t chosen_dense(const struct plan *plan, const uint8_t *chosen, enum stage_kind stage)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->num_units; i++)
        count += chosen[i] != 0 && plan->units[i].variant == NULL && plan->units[i].stage == stage;
    return count;
}

// Of a run directory that is empty. What a variant does not read is not made for it, nor by another command.
static void a_choice_has_what_its_variants_share(void **state)
{
    static const struct {
        size_t job;
        const char *pattern, *command;
        size_t calibrate, attempt;
    } cases[] = {
        {0, "cvr*", "run", 4, 0},   {0, "sparsegpt*", "run", 4, 0},  {0, "cvr*", "calibrate", 4, 0},
        {0, "cvr*", "score", 0, 0}, {1, "auto*", "run", 4, 0},       {2, "magnitude*", "run", 0, 0},
        {3, "wanda*", "run", 0, 0}, {4, "wanda*", "run", 4, 0},      {6, "ria*", "run", 4, 0},
        {9, "wanda*", "run", 4, 1}, {9, "wanda*", "evaluate", 0, 1}, {10, "wanda*", "run", 0, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const unsigned stages = stages_of_command(cases[i].command);
        const size_t added = cases[i].calibrate + cases[i].attempt;
        const char *names[8];
        struct planned_job job;
        struct error err = {0};
        uint8_t chosen[1024];
        plan_job(&job, cases[i].job);
        assert_true(job.plan.num_units <= sizeof chosen);
        assert_int_equal(plan_choose(chosen, &job.plan, &cases[i].pattern, 1, &err), STATUS_OK);
        const size_t variants = plan_names(&job.plan, chosen, names);
        if (shared_add(chosen, &job.plan, stages) != added ||
            chosen_dense(&job.plan, chosen, STAGE_CALIBRATE) != cases[i].calibrate ||
            chosen_dense(&job.plan, chosen, STAGE_ATTEMPT) != cases[i].attempt)
            fail_msg("%s, %s of %s", cases[i].command, cases[i].pattern, jobs[cases[i].job].name);
        assert_int_equal(chosen_dense(&job.plan, chosen, STAGE_EVALUATE), 0);
        assert_int_equal(plan_names(&job.plan, chosen, names), variants + (added > 0));
        planned_job_free(&job);
    }
}

// What --variant chooses has its attempts with it, and one lock.
static void attempts_go_with_their_variant(void **state)
{
    const char *names[8];
    struct planned_job job;
    struct error err = {0};
    (void)state;
    plan_job(&job, 9);
    const char *const patterns[] = {job.settings->variants[0].name};
    uint8_t chosen[1024];
    assert_true(job.plan.num_units <= sizeof chosen);
    assert_int_equal(plan_choose(chosen, &job.plan, patterns, 1, &err), STATUS_OK);
    assert_int_equal(plan_names(&job.plan, chosen, names), 1);
    plan_keep(&job.plan, chosen);
    // The sequences of both kinds; curves; seven times score, compensate and propagate; the search; results.
    assert_int_equal(job.plan.num_units,
                     2 + 4 + (BUDGET_ATTEMPTS + 1) * (4 + 4 + 3) + (BUDGET_ATTEMPTS + 1) + 1 + 2 + 1);
    assert_string_equal(names[0], job.settings->variants[0].name);
    planned_job_free(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_input_is_made_by_a_unit_before),
        cmocka_unit_test(no_file_is_made_by_two_units),
        cmocka_unit_test(units_are_counted_by_layers_variants_and_tasks),
        cmocka_unit_test(what_allocations_share_is_work_once),
        cmocka_unit_test(work_is_shared_out_by_sequences_windows_or_rows),
        cmocka_unit_test(a_choice_has_what_its_variants_share),
        cmocka_unit_test(attempts_go_with_their_variant),
        cmocka_unit_test(some_variants_keep_their_units_and_the_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
