// The disk that what is left of a plan takes at least: of the demonstration's model, counted by hand.
#include "pipeline/plan/disk_need.h"
#include "tests/support/planned_job.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { LAYERS = 4, HIDDEN = 128, INTERMEDIATE = 344, KEYS = 64, TOKENS = 32 * 256 };
// Weights of a layer's linears, bfloat16.
static const uint64_t layer_weights =
    2 * (2 * HIDDEN * HIDDEN + 2 * KEYS * HIDDEN + 3 * HIDDEN * INTERMEDIATE);
static const uint64_t states = (uint64_t)2 * TOKENS * HIDDEN * sizeof(float); // of two layers

static struct disk_need need_of(const char *text, const char *run)
{
    struct planned_job job;
    struct plan_cost cost;
    struct run_record record = {0};
    struct disk_need need;
    struct error err = {0};

    planned_job_create(&job, text);
    if (run != NULL) {
        free(job.settings->run);
        job.settings->run = strdup(run);
    }
    assert_int_equal(plan_cost(&cost, &job.plan, 1, &err), STATUS_OK);
    disk_need_least(&need, &job.plan, &cost, &record);
    planned_job_free(&job);
    return need;
}

// What two jobs that differ in nothing else need apart.
static uint64_t more(const char *than, const char *text)
{
    return need_of(text, NULL).run - need_of(than, NULL).run;
}

static void masks_alone_need_hidden_states_statistics_and_masks(void **state)
{
    const struct disk_need one =
        need_of("prune: {method: wanda, sparsity: 0.5}\ncompensate: {keep_weights: false}", NULL);
    (void)state;
    assert_int_equal(one.output, 0);
    // A mask has a bit for each weight, statistics some doubles for each channel.
    assert_in_range(one.run, states + LAYERS * layer_weights / 16, states + LAYERS * layer_weights);
}

// With pruned propagation one variant after the other is finished, with dense propagation no sooner than all.
static void weights_count_once_where_they_go_on_the_way(void **state)
{
    static const char *const prune = "prune: {method: %s, sparsity: 0.5, propagation: %s}\n"
                                     "compensate: {energy: [columns], keep_weights: %s}";
    static const struct {
        const char *propagation, *keep;
        uint64_t copies; // of three variants
    } cases[] = {{"pruned", "false", 1}, {"pruned", "true", 3}, {"dense", "false", 3}};
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char with[512], without[512];
        snprintf(with, sizeof with, prune, "[wanda, cvr, magnitude]", cases[i].propagation, cases[i].keep);
        snprintf(without, sizeof without,
                 "prune: {method: [wanda, cvr, magnitude], sparsity: 0.5, propagation: %s}\ncompensate: "
                 "{keep_weights: false}",
                 cases[i].propagation);
        assert_int_equal(more(without, with), cases[i].copies * LAYERS * layer_weights);
    }
}

static void each_model_needs_a_checkpoint(void **state)
{
    struct stat info;
    // All of the model's folder is copied.
    static const char *const names[] = {"model.safetensors", "config.json", "tokenizer.json",
                                        "tokenizer_config.json"};
    char path[512];
    const char *source = getenv("COPPICE_SOURCE");
    uint64_t bytes = 0;
    (void)state;
    assert_non_null(source);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/jobs/demo/kjv-llama-1m/%s", source, names[i]);
        assert_int_equal(stat(path, &info), 0);
        bytes += (uint64_t)info.st_size;
    }
    const struct disk_need two =
        need_of("output: /nonexistent/out\nprune: {method: [wanda, cvr], sparsity: 0.5}", NULL);
    assert_in_range(two.output, 2 * bytes - 65536, 2 * bytes);
}

static void what_is_there_is_not_needed(void **state)
{
    static const char *const text = "prune: {method: wanda, sparsity: 0.5, propagation: dense}";
    const char *folder = *state;
    char path[512];
    const uint64_t all = need_of(text, NULL).run;

    snprintf(path, sizeof path, "%s/activations", folder);
    assert_int_equal(mkdir(path, 0777), 0);
    write_text(path, "layer-001.h5", "0123456789");
    assert_int_equal(need_of(text, folder).run, all - 10);
}

static int set_up(void **state)
{
    *state = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    temporary_folder_remove(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_alone_need_hidden_states_statistics_and_masks),
        cmocka_unit_test(weights_count_once_where_they_go_on_the_way),
        cmocka_unit_test(each_model_needs_a_checkpoint),
        cmocka_unit_test_setup_teardown(what_is_there_is_not_needed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
