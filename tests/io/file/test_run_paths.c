// run_paths.h: run directories that were begun before must be found again, so every name is pinned here.
#include "io/file/run_paths.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_folders_have_their_names(void **state)
{
    (void)state;
    static const char *const expected[] = {"r/statistics", "r/hessians", "r/activations", "r/outliers",
                                           "r/medians",    "r/curves",   "r/budget",      "r/masks",
                                           "r/weights",    "r/results"};
    char path[PATH_SIZE];

    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        run_folder_path(path, "r", (enum run_folder)i);
        assert_string_equal(path, expected[i]);
    }
    assert_int_equal(RUN_FOLDER_COUNT, sizeof expected / sizeof *expected);
    run_subfolder_path(path, "/scratch/run", RUN_RESULTS, "wanda-0.5");
    assert_string_equal(path, "/scratch/run/results/wanda-0.5");
}

static void test_files_have_their_names(void **state)
{
    (void)state;
    static const struct {
        enum run_file file;
        const char *expected;
    } cases[] = {{RUN_RECORD, "/scratch/run/run.json"},      {RUN_PLAN, "/scratch/run/plan.json"},
                 {RUN_LOG, "/scratch/run/log.jsonl"},        {RUN_SEQUENCES, "/scratch/run/sequences.h5"},
                 {RUN_HELD_OUT, "/scratch/run/held-out.h5"}, {RUN_LOCK, "/scratch/run/lock"}};
    char path[PATH_SIZE];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_file_path(path, "/scratch/run", cases[i].file);
        assert_string_equal(path, cases[i].expected);
    }
}

static void test_layers_are_numbered_with_three_digits_or_more(void **state)
{
    (void)state;
    char path[PATH_SIZE];

    run_layer_path(path, "/scratch/run", RUN_STATISTICS, "dense", 7);
    assert_string_equal(path, "/scratch/run/statistics/dense/layer-007.h5");
    run_layer_path(path, "r", RUN_MASKS, "wanda-0.5", 1234);
    assert_string_equal(path, "r/masks/wanda-0.5/layer-1234.h5");
    run_outliers_path(path, "r", 5, 7);
    assert_string_equal(path, "r/outliers/threshold-5/layer-007.json");
    run_medians_path(path, "r", 7);
    assert_string_equal(path, "r/medians/layer-007.json");
    run_curves_path(path, "r", "wanda", 7);
    assert_string_equal(path, "r/curves/wanda/layer-007.json");
    run_budget_path(path, "r", "wanda-budget1.05", 2);
    assert_string_equal(path, "r/budget/wanda-budget1.05/attempt-2.json");
    run_budget_path(path, "r", "wanda-budget1.05", 0);
    assert_string_equal(path, "r/budget/wanda-budget1.05/result.json");
    run_outliers_path(path, "r", 0.1, 12);
    assert_string_equal(path, "r/outliers/threshold-0.10000000000000001/layer-012.json");
}

static void test_results_stand_in_a_folder_of_their_variant(void **state)
{
    (void)state;
    char path[PATH_SIZE];

    run_result_path(path, "r", "wanda-0.5", RESULT_PERPLEXITY);
    assert_string_equal(path, "r/results/wanda-0.5/perplexity.json");
    run_result_path(path, "r", "wanda-0.5", RESULT_COMPENSATION);
    assert_string_equal(path, "r/results/wanda-0.5/compensation.json");
    run_result_path(path, "r", "dense", RESULT_DIAGNOSTICS);
    assert_string_equal(path, "r/results/dense/diagnostics.json");
    run_task_result_path(path, "r", "dense", "boolq");
    assert_string_equal(path, "r/results/dense/tasks/boolq.json");
}

static void test_a_path_that_does_not_fit_is_empty(void **state)
{
    (void)state;
    char path[PATH_SIZE], run[PATH_SIZE], small[6];

    memset(run, 'x', sizeof run);
    run[sizeof run - 1 - strlen("/lock")] = '\0';
    run_file_path(path, run, RUN_LOCK);
    assert_int_equal(strlen(path), PATH_SIZE - 1);
    run_layer_path(path, run, RUN_MASKS, "v", 0);
    assert_string_equal(path, "");
    path_format(small, sizeof small, "%s", "12345");
    assert_string_equal(small, "12345");
    path_format(small, sizeof small, "%s", "123456");
    assert_string_equal(small, "");
}

static void test_datasets_stand_in_a_group_of_their_linear(void **state)
{
    (void)state;
    static const char *const expected[] = {"count",         "mean",
                                           "variance",      "second_moment",
                                           "max_abs",       "hessian",
                                           "mask",          "order",
                                           "update",        "weight",
                                           "bias",          "energy_before",
                                           "energy_pruned", "energy_compensated",
                                           "row_gamma",     "column_gamma",
                                           "output_gamma"};
    char path[DATASET_PATH_SIZE], linear[DATASET_PATH_SIZE];

    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(dataset_name((enum dataset)i), expected[i]);
    assert_int_equal(DATASET_OUTPUT_GAMMA, sizeof expected / sizeof *expected - 1);
    dataset_path(path, "self_attn.q_proj", DATASET_SECOND_MOMENT);
    assert_string_equal(path, "/self_attn.q_proj/second_moment");
    group_path(path, "mlp.experts.3.w1");
    assert_string_equal(path, "/mlp.experts.3.w1");
    memset(linear, 'x', sizeof linear);
    linear[sizeof linear - 1] = '\0';
    dataset_path(path, linear, DATASET_MASK);
    assert_string_equal(path, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders_have_their_names),
        cmocka_unit_test(test_files_have_their_names),
        cmocka_unit_test(test_layers_are_numbered_with_three_digits_or_more),
        cmocka_unit_test(test_results_stand_in_a_folder_of_their_variant),
        cmocka_unit_test(test_a_path_that_does_not_fit_is_empty),
        cmocka_unit_test(test_datasets_stand_in_a_group_of_their_linear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
