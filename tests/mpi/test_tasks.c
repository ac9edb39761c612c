// Tasks against EleutherAI's lm-evaluation-harness (tests/golden/make_task_golden.py), and the same bits for
// any number of ranks.
#include "stages/tasks.h"
#include "tests/support/golden.h"
#include "tests/support/mpi_test.h"
#include "tests/support/naive.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Two float32 computations of the same model in different orders. 1e-4 relative is what the project promises.
static const double tolerance = 1e-4;
// Accuracies are the same fractions, computed in double.
static const double rounding = 1e-12;

// A model ready to be asked, on a team of all ranks or of this one alone.
struct bench {
    struct team team;
    struct stage stage;
    struct layer_weights weights;
};

static struct settings settings;
static struct model *model;

static void bench_open(struct bench *bench, int teams)
{
    struct error err = {0};
    memset(bench, 0, sizeof *bench);
    assert_int_equal(team_create(&bench->team, MPI_COMM_WORLD, teams, &err), STATUS_OK);
    bench->stage = (struct stage){&bench->team, model, &settings, {NULL, NULL, NULL, NULL}};
    assert_int_equal(layer_weights_create(&bench->weights, &bench->stage, &err), STATUS_OK);
}

static void bench_close(struct bench *bench)
{
    layer_weights_free(&bench->weights, &bench->stage);
    team_free(&bench->team);
}

static struct task_settings one_task;

// The one task of the job: a file of a folder in the source tree. Freed with ask_for_nothing.
static void ask_in(const char *where, const char *file)
{
    char relative[128];
    snprintf(relative, sizeof relative, "%s/%s", where, file);
    one_task = (struct task_settings){
        .name = strdup("one"), .data = source_path(relative), .format = TASK_RECOGNISED};
    settings.tasks = &one_task;
    settings.num_tasks = 1;
}

static void ask_for(const char *file)
{
    ask_in("tests/golden/tasks", file);
}

static void ask_for_nothing(void)
{
    free(one_task.name);
    free(one_task.data);
    settings.num_tasks = 0;
}

static void read_set(struct task_set *set, const struct stage *stage)
{
    struct error err = {0};
    const bool wanted = true;
    if (task_set_create(set, stage, &wanted, &err) != STATUS_OK)
        fail_msg("%s", err.message);
}

static void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) <= tolerance * fabs(expected)))
        fail_msg("%.9g beside %.9g of the harness", found, expected);
}

static void check_sums(const json_t *golden, const struct task_tokens *tokens, const double *log_likelihood,
                       const uint8_t *greedy)
{
    const json_t *examples = json_object_get(golden, "examples");
    assert_int_equal(tokens->num_examples, json_array_size(examples));
    for (size_t e = 0; e < tokens->num_examples; e++) {
        const json_t *sums = json_object_get(json_array_get(examples, e), "log_likelihood");
        const json_t *flags = json_object_get(json_array_get(examples, e), "greedy");
        const size_t first = tokens->first_option[e];
        assert_int_equal(tokens->first_option[e + 1] - first, json_array_size(sums));
        for (size_t o = 0; o < json_array_size(sums); o++) {
            assert_near(log_likelihood[first + o], json_number_value(json_array_get(sums, o)));
            assert_int_equal(greedy[first + o], json_is_true(json_array_get(flags, o)));
        }
    }
}

static void check_share(const json_t *golden, const char *key, double found, double accuracy)
{
    const json_t *expected = json_object_get(golden, key);
    if (expected != NULL && !(fabs(found - json_number_value(expected)) <= accuracy * fabs(found)))
        fail_msg("%s: %.9g beside %.9g of the harness", key, found, json_number_value(expected));
}

static void check_task(const char *name, const char *where, const json_t *golden)
{
    struct error err = {0};
    struct bench bench;
    struct task_set set;
    struct task_result result;

    print_message("%s\n", name);
    ask_in(where, json_string_value(json_object_get(golden, "file")));
    one_task.limit = (size_t)json_integer_value(json_object_get(golden, "limit"));
    one_task.delimiter = (char *)json_string_value(json_object_get(golden, "delimiter")); // read only
    bench_open(&bench, 1);
    read_set(&set, &bench.stage);
    double *log_likelihood = calloc(set.tokens[0].num_options, sizeof *log_likelihood);
    uint8_t *greedy = calloc(set.tokens[0].num_options, 1);
    assert_int_equal(task_log_likelihoods(log_likelihood, greedy, &bench.stage, &bench.weights,
                                          &set.tokens[0], NULL, &err),
                     STATUS_OK);
    check_sums(golden, &set.tokens[0], log_likelihood, greedy);
    assert_int_equal(evaluate_task(&result, &bench.stage, &bench.weights, &set, 0, NULL, &err), STATUS_OK);
    check_share(golden, "acc", result.acc, rounding);
    check_share(golden, "acc_norm", result.acc_norm_characters, rounding);
    check_share(golden, "acc_stderr", result.acc_stderr, rounding);
    check_share(golden, "acc_norm_stderr", result.acc_norm_stderr, rounding);
    check_share(golden, "perplexity", result.perplexity, tolerance * 20); // of a sum, whose size is below 20
    free(log_likelihood);
    free(greedy);
    task_set_free(&set);
    bench_close(&bench);
    ask_for_nothing();
}

static void check_golden(const char *golden_path, const char *where, size_t count)
{
    char *path = source_path(golden_path);
    json_t *golden = json_load_file(path, 0, NULL), *task;
    const char *name;

    assert_int_equal(json_object_size(golden), count);
    json_object_foreach(golden, name, task)
    {
        check_task(name, where, task);
    }
    json_decref(golden);
    free(path);
}

static void every_task_agrees_with_the_harness(void **state)
{
    (void)state;
    check_golden("tests/golden/tasks.json", "tests/golden/tasks", 12);
}

static void public_tasks_agree_with_the_harness(void **state)
{
    char *folder = source_path("../shared/tasks"); // skips the test when they are not here
    (void)state;
    free(folder);
    check_golden("tests/golden/tasks_public.json", "../shared/tasks", 5);
}

static void all_ranks_and_one_give_the_same_bits(void **state)
{
    struct error err = {0};
    struct bench together, alone;
    struct task_set set;
    (void)state;

    ask_for("hellaswag_val.jsonl");
    bench_open(&together, 1);
    bench_open(&alone, mpi_size());
    read_set(&set, &together.stage);
    const size_t options = set.tokens[0].num_options;
    double *a = calloc(options, sizeof *a), *b = calloc(options, sizeof *b);
    uint8_t *greedy = calloc(options, 1);
    assert_int_equal(
        task_log_likelihoods(a, greedy, &together.stage, &together.weights, &set.tokens[0], NULL, &err),
        STATUS_OK);
    assert_int_equal(
        task_log_likelihoods(b, greedy, &alone.stage, &alone.weights, &set.tokens[0], NULL, &err), STATUS_OK);
    assert_memory_equal(a, b, options * sizeof *a);
    free(a);
    free(b);
    free(greedy);
    task_set_free(&set);
    bench_close(&alone);
    bench_close(&together);
    ask_for_nothing();
}

static void what_options_share_is_computed_once(void **state)
{
    struct bench bench;
    struct task_set set;
    (void)state;

    ask_for("boolq.jsonl");
    bench_open(&bench, 1);
    read_set(&set, &bench.stage);
    // " no" and " yes" are one or two tokens each: nearly all of an example is common to both.
    for (size_t e = 0; e < set.tokens[0].num_examples; e++) {
        const size_t ids = set.tokens[0].first_id[e + 1] - set.tokens[0].first_id[e];
        assert_true(set.tokens[0].prefix[e] > 10 || set.tokens[0].truncated > 0);
        assert_true(ids - set.tokens[0].prefix[e] < 8 || e == 4);
    }
    task_set_free(&set);
    bench_close(&bench);
    ask_for_nothing();
}

static void a_bad_file_is_refused_on_all_ranks(void **state)
{
    struct error err = {0};
    struct bench bench;
    struct task_set set;
    const bool wanted = true;
    (void)state;

    if (mpi_rank() == 0) {
        FILE *file = fopen(in_directory("bad.jsonl"), "w");
        assert_non_null(file);
        fputs("{\"query\": \"a\", \"choices\": [\"b\", \"c\"], \"gold\": 2}\n", file);
        fclose(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    one_task = (struct task_settings){
        .name = strdup("bad"), .data = strdup(in_directory("bad.jsonl")), .format = TASK_RECOGNISED};
    settings.tasks = &one_task;
    settings.num_tasks = 1;
    bench_open(&bench, 1);
    assert_int_equal(task_set_create(&set, &bench.stage, &wanted, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, "bad.jsonl:1: \"gold\" is 2: not one of 2 choices"));
    bench_close(&bench);
    ask_for_nothing();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        mpi_unit_test(every_task_agrees_with_the_harness),
        mpi_unit_test(public_tasks_agree_with_the_harness),
        mpi_unit_test(all_ranks_and_one_give_the_same_bits),
        mpi_unit_test(what_options_share_is_computed_once),
        mpi_unit_test(a_bad_file_is_refused_on_all_ranks),
    };
    const char *source = getenv("COPPICE_SOURCE");
    char path[4096];
    struct error err = {0};

    snprintf(path, sizeof path, "%s/jobs/demo/kjv-llama-1m", source != NULL ? source : ".");
    settings = (struct settings){.model = path, .run = "nowhere"};
    if (model_open(&model, path, &err) != STATUS_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    const int failed = mpi_test_main(argc, argv, tests, sizeof tests / sizeof tests[0]);
    model_close(model);
    return failed;
}
