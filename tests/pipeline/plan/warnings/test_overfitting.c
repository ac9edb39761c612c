// The warning of a plan whose weights are fitted to few tokens, on the demonstration's model: 128 input
// channels, 344 of mlp.down_proj.
#include "pipeline/plan/warnings/overfitting.h"
#include "tests/support/planned_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char text[OVERFITTING_WARNING_SIZE];

// Whether it is warned of with so many sequences of 64 tokens.
static bool warned(struct planned_job *job, size_t sequences)
{
    job->settings->sequences = sequences;
    job->settings->length = 64;
    return overfitting_warning(text, &job->plan);
}

static void fewer_than_four_tokens_for_a_channel_are_warned_of_by_name(void **state)
{
    struct planned_job job;
    (void)state;

    planned_job_create(&job, "prune: {method: wanda, sparsity: 0.5}\n"
                             "compensate: {output: least_squares, guard: false}\n");
    assert_false(warned(&job, 22)); // 1408 tokens for 344 channels
    assert_true(warned(&job, 21));  // 1344
    assert_string_equal(text, "weights are fitted to 1344 tokens, fewer than 4 for each input channel of "
                              "mlp.down_proj (344): they may fit these tokens alone; more "
                              "calibration.sequences help");
    assert_true(warned(&job, 8)); // 512 tokens for 128 channels
    assert_null(strstr(text, "(128)"));
    assert_true(warned(&job, 7));
    assert_non_null(strstr(text, "fitted to 448 tokens, fewer than 4 for each input channel of "
                                 "self_attn.q_proj (128), self_attn.o_proj (128), mlp.gate_proj (128), "
                                 "mlp.down_proj (344): "));
    planned_job_free(&job);
}

static void what_the_guard_holds_out_is_not_fitted_to(void **state)
{
    struct planned_job job;
    (void)state;

    planned_job_create(&job, "prune: {method: wanda, sparsity: 0.5}\n"
                             "compensate: {output: least_squares, guard: true}\n");
    assert_false(warned(&job, 25)); // 22 are fitted to
    assert_true(warned(&job, 24));  // 21
    planned_job_free(&job);
}

static void masks_and_weights_made_together_are_fitted_too(void **state)
{
    static const char *const methods[] = {"admm", "alps"};
    struct planned_job job;
    (void)state;

    for (size_t k = 0; k < 2; k++) {
        char prune[64];
        snprintf(prune, sizeof prune, "prune: {method: %s, sparsity: 0.5}\n", methods[k]);
        planned_job_create(&job, prune);
        assert_true(warned(&job, 2));
        planned_job_free(&job);
    }
}

static void what_is_not_fitted_is_not_warned_of(void **state)
{
    static const char *const jobs[] = {
        "prune: {method: [wanda, sparsegpt], sparsity: 0.5}\n",
        "prune: {method: wanda, sparsity: 0.5}\ncompensate: {output: mixed, energy: [columns]}\n"};
    struct planned_job job;
    (void)state;

    for (size_t k = 0; k < 2; k++) {
        planned_job_create(&job, jobs[k]);
        assert_false(warned(&job, 1));
        planned_job_free(&job);
    }
    // A linear that stays dense
    planned_job_create(&job, "prune: {method: wanda, sparsity: 0.5, skip: [mlp.down_proj]}\n"
                             "compensate: {output: least_squares, guard: false}\n");
    assert_false(warned(&job, 8));
    assert_true(warned(&job, 7));
    assert_null(strstr(text, "down_proj"));
    planned_job_free(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewer_than_four_tokens_for_a_channel_are_warned_of_by_name),
        cmocka_unit_test(what_the_guard_holds_out_is_not_fitted_to),
        cmocka_unit_test(masks_and_weights_made_together_are_fitted_too),
        cmocka_unit_test(what_is_not_fitted_is_not_warned_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
