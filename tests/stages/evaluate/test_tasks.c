// Tasks against EleutherAI's lm-evaluation-harness (tests/golden/make_task_golden.py), and the same bits for
// any number of ranks.
// ranks: 1 2 3 4
#include "io/file/sealed_json.h"
#include "io/model/open.h"
#include "stages/evaluate/tasks.h"
#include "tests/support/golden.h"
#include "tests/support/mpi_test.h"
#include "tests/support/naive.h"
#include "tests/support/source_path.h"

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
    bench->stage = (struct stage){&bench->team, model, &settings, {0}, NULL};
    assert_int_equal(layer_weights_create(&bench->weights, &bench->stage, &err), STATUS_OK);
}

static void bench_close(struct bench *bench)
{
    layer_weights_free(&bench->weights);
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
    free(one_task.shots_from);
    settings.num_tasks = 0;
}

static void read_set(struct task_set *set, const struct stage *stage)
{
    struct error err = {0};
    const bool wanted = true;
    if (task_set_create(set, stage, &wanted, &err) != STATUS_OK)
        fail_msg("%s", err.message);
}

// Log-likelihoods and greediness of all options.
static void score(double *log_likelihood, uint8_t *greedy, struct bench *bench,
                  const struct task_tokens *tokens)
{
    struct parts parts;
    struct error err = {0};

    if (parts_open(&parts, &bench->stage, NULL, NULL, tokens->num_options, 2, &err) != STATUS_OK ||
        task_log_likelihoods(&parts, &bench->stage, &bench->weights, tokens, NULL, &err) != STATUS_OK)
        fail_msg("%s", err.message);
    for (size_t o = 0; o < tokens->num_options; o++) {
        memcpy(&log_likelihood[o], &parts.values[2 * o], sizeof *log_likelihood);
        greedy[o] = parts.values[2 * o + 1] != 0;
    }
    parts_free(&parts);
}

static void assert_near(double found, double expected)
{
    if (!(fabs(found - expected) <= tolerance * fabs(expected)))
        fail_msg("%.9g, but the harness has %.9g", found, expected);
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
        fail_msg("%s: %.9g, but the harness has %.9g", key, found, json_number_value(expected));
}

// Of MMLU also by subject and by category, as its file has them.
static void check_subjects(const json_t *golden, const struct task_result *result)
{
    static const char *const lists[] = {"subjects", "categories"};
    char path[PATH_SIZE];
    const char *name;
    json_t *file = NULL, *expected;
    struct error err = {0};

    snprintf(path, sizeof path, "%s/mmlu.%d.json", mpi_test_directory(), mpi_rank());
    assert_int_equal(task_result_write(result, path, &settings, 0, NULL, &err), STATUS_OK);
    assert_int_equal(sealed_json_read(&file, path, &err), STATUS_OK);
    for (size_t l = 0; l < 2; l++) {
        assert_int_equal(json_object_size(json_object_get(file, lists[l])),
                         json_object_size(json_object_get(golden, lists[l])));
        json_object_foreach(json_object_get(golden, lists[l]), name, expected)
        {
            const json_t *found = json_object_get(json_object_get(file, lists[l]), name);
            check_share(expected, "acc", json_number_value(json_object_get(found, "acc")), rounding);
            check_share(expected, "acc_stderr", json_number_value(json_object_get(found, "acc_stderr")),
                        rounding);
        }
    }
    json_decref(file);
}

static void check_task(const char *name, const char *where, const json_t *golden)
{
    struct error err = {0};
    struct bench bench;
    struct task_set set;
    struct task_result result;

    char relative[128];

    print_message("%s\n", name);
    ask_in(where, json_string_value(json_object_get(golden, "file")));
    one_task.limit = (size_t)json_integer_value(json_object_get(golden, "limit"));
    one_task.delimiter = (char *)json_string_value(json_object_get(golden, "delimiter")); // read only
    one_task.shots = (size_t)json_integer_value(json_object_get(golden, "shots"));
    const char *from = json_string_value(json_object_get(golden, "shots_from"));
    if (from != NULL) {
        snprintf(relative, sizeof relative, "%s/%s", where, from);
        one_task.shots_from = source_path(relative);
    }
    bench_open(&bench, 1);
    read_set(&set, &bench.stage);
    double *log_likelihood = calloc(set.tokens[0].num_options, sizeof *log_likelihood);
    uint8_t *greedy = calloc(set.tokens[0].num_options, 1);
    score(log_likelihood, greedy, &bench, &set.tokens[0]);
    check_sums(golden, &set.tokens[0], log_likelihood, greedy);
    assert_int_equal(evaluate_task(&result, &bench.stage, &bench.weights, &set, 0, NULL, &err), STATUS_OK);
    check_share(golden, "acc", result.acc, rounding);
    check_share(golden, "acc_norm", result.acc_norm_characters, rounding);
    check_share(golden, "acc_stderr", result.acc_stderr, rounding);
    check_share(golden, "acc_norm_stderr", result.acc_norm_stderr, rounding);
    check_share(golden, "perplexity", result.perplexity, tolerance * 20); // of a sum, whose size is below 20
    if (json_object_get(golden, "subjects") != NULL)
        check_subjects(golden, &result);
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
    check_golden("tests/golden/tasks.json", "tests/golden/tasks", 13);
}

static void shots_are_those_of_the_harness(void **state)
{
    (void)state;
    check_golden("tests/golden/shots.json", "tests/golden/tasks", 11);
}

// The tables and the lines of JSON are the same questions.
static void mmlu_is_read_in_both_forms(void **state)
{
    char *path = source_path("tests/golden/shots.json");
    json_t *golden = json_load_file(path, 0, NULL), *mmlu = json_object_get(golden, "mmlu");
    (void)state;

    json_object_set_new(mmlu, "file", json_string("mmlu_test.jsonl"));
    check_task("mmlu", "tests/golden/tasks", mmlu);
    json_decref(golden);
    free(path);
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
    score(a, greedy, &together, &set.tokens[0]);
    score(b, greedy, &alone, &set.tokens[0]);
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

// ---- from sums to accuracies ----------------------------------------------------------------------------

static void accuracies_by_hand(void **state)
{
    // Three examples of two options. By sum the first is right, by bytes the second, by characters the first
    // and the second; of the third's equal sums the first counts, which is wrong.
    const double sums[] = {-4.0, -5.0, -4.0, -6.0, -2.0, -2.0};
    const uint8_t greedy[6] = {0};
    struct task_tokens tokens = {.num_examples = 3, .num_options = 6};
    struct task_result result;
    struct error err = {0};
    (void)state;

    assert_int_equal(task_tokens_allocate(&tokens, &err), STATUS_OK);
    const uint64_t first[] = {0, 2, 4, 6}, gold[] = {0, 1, 1}, bytes[] = {2, 4, 2, 6, 1, 1},
                   characters[] = {2, 2, 2, 6, 1, 1};
    memcpy(tokens.first_option, first, sizeof first);
    memcpy(tokens.gold, gold, sizeof gold);
    memcpy(tokens.bytes, bytes, sizeof bytes);
    memcpy(tokens.characters, characters, sizeof characters);
    task_score(&result, &tokens, TASK_ARC, sums, greedy);
    assert_close(result.acc, 1.0 / 3, rounding);
    assert_close(result.acc_norm, 1.0 / 3, rounding);
    assert_close(result.acc_norm_characters, 2.0 / 3, rounding);
    // 1, 0, 0: deviations 2/3, 1/3, 1/3; sample variance 1/3; sqrt(1/3 / 3)
    assert_close(result.acc_stderr, 1.0 / 3, rounding);
    assert_true(isnan(result.perplexity));
    task_tokens_free(&tokens);
}

static void continuations_by_hand(void **state)
{
    const double sums[] = {-1.0, -3.0};
    const uint8_t greedy[] = {1, 0};
    const struct task_tokens tokens = {.num_examples = 2, .num_options = 2};
    struct task_result result;
    (void)state;

    task_score(&result, &tokens, TASK_LAMBADA, sums, greedy);
    assert_close(result.acc, 0.5, rounding);
    assert_close(result.acc_stderr, 0.5, rounding);
    assert_close(result.perplexity, 7.38905609893065, 1e-9); // e^2
    // The sums deviate by sqrt(2), their mean by 1.
    assert_close(result.perplexity_stderr, 7.38905609893065, 1e-9);
    assert_true(isnan(result.acc_norm));
}

// ---- every family ---------------------------------------------------------------------------------------

// Sequences of random ids: an example of `options`, whose prefix is as given, and branches of 1, 4, 7, ...
// tokens. Returns how many ids there are then.
static size_t add_random(struct task_tokens *tokens, size_t example, size_t first, size_t options,
                         size_t prefix, size_t used)
{
    tokens->first_option[example] = first;
    tokens->first_id[example] = used;
    tokens->prefix[example] = prefix;
    used += prefix;
    for (size_t o = 0; o < options; o++) {
        tokens->branch[first + o] = 1 + 3 * o;
        tokens->scored[first + o] = 1 + 2 * o; // of the longer ones the first token is context
        used += tokens->branch[first + o];
    }
    return used;
}

static void fill_random(struct task_tokens *tokens, const struct model *of)
{
    uint64_t s = 7;
    for (size_t i = 0; i < tokens->num_ids; i++) {
        s = s * UINT64_C(6364136223846793005) + 1; // Knuth's MMIX generator
        tokens->ids[i] = (int32_t)((s >> 33) % of->config.vocab_size);
    }
}

// The option's sequence alone, through the forward pass that agrees with transformers.
static double sum_alone(const struct task_tokens *tokens, size_t example, size_t option,
                        const struct model *of)
{
    const size_t prefix = tokens->prefix[example], count = prefix + tokens->branch[option];
    const size_t scored = tokens->scored[option];
    int32_t *ids = calloc(count, sizeof *ids), *own = tokens->ids + tokens->first_id[example] + prefix;
    struct lm_head head;
    double sum = 0;

    for (size_t o = tokens->first_option[example]; o < option; o++)
        own += tokens->branch[o];
    memcpy(ids, tokens->ids + tokens->first_id[example], prefix * sizeof *ids);
    memcpy(ids + prefix, own, tokens->branch[option] * sizeof *ids);
    float *hidden = hidden_after_layers(of, ids, count - 1);
    model_lm_head(&head, of);
    float *workspace = calloc(lm_head_workspace_size(&head, count), sizeof *workspace);
    double *log_likelihood = calloc(count, sizeof *log_likelihood);
    lm_head_log_likelihood(log_likelihood, NULL, &head, hidden, ids + 1, count - 1, workspace);
    for (size_t t = count - 1 - scored; t + 1 < count; t++)
        sum += log_likelihood[t];
    free(log_likelihood);
    free(workspace);
    free(hidden);
    free(ids);
    return sum;
}

static void count_advanced(void *context, double work)
{
    ((double *)context)[0] += work;
}

static void count_skipped(void *context, double work)
{
    ((double *)context)[1] += work;
}

static void what_an_earlier_start_scored_is_taken_over(void **state)
{
    struct bench bench;
    struct task_set set;
    struct parts whole, rest;
    struct error err = {0};
    double first[2] = {0, 0}, second[2] = {0, 0};
    (void)state;

    ask_for("hellaswag_val.jsonl");
    bench_open(&bench, 1);
    read_set(&set, &bench.stage);
    const struct task_tokens *tokens = &set.tokens[0];
    bench.stage.hooks =
        (struct stage_hooks){.context = first, .advance = count_advanced, .skip = count_skipped};
    assert_int_equal(parts_open(&whole, &bench.stage, NULL, NULL, tokens->num_options, 2, &err), STATUS_OK);
    assert_int_equal(task_log_likelihoods(&whole, &bench.stage, &bench.weights, tokens, NULL, &err),
                     STATUS_OK);

    // Given every other example, with values that no model computes
    bench.stage.hooks.context = second;
    assert_int_equal(parts_open(&rest, &bench.stage, NULL, NULL, tokens->num_options, 2, &err), STATUS_OK);
    for (size_t e = 0; e < tokens->num_examples; e += 2)
        for (size_t o = tokens->first_option[e]; o < tokens->first_option[e + 1]; o++) {
            rest.done[o] = 1;
            rest.values[2 * o] = 7;
        }
    assert_int_equal(task_log_likelihoods(&rest, &bench.stage, &bench.weights, tokens, NULL, &err),
                     STATUS_OK);

    // Then these stay, the others are what they were, and all work is reported
    for (size_t e = 0; e < tokens->num_examples; e++)
        for (size_t o = tokens->first_option[e]; o < tokens->first_option[e + 1]; o++)
            assert_true(rest.values[2 * o] == (e % 2 == 0 ? 7 : whole.values[2 * o]));
    assert_int_equal(parts_left(&rest), 0);
    assert_true(first[1] == 0 && second[1] > 0);
    assert_true(fabs(second[0] + second[1] - first[0]) <= 1e-9 * first[0]);
    parts_free(&whole);
    parts_free(&rest);
    task_set_free(&set);
    bench_close(&bench);
    ask_for_nothing();
}

static void check_family(const char *name)
{
    enum { EXAMPLES = 3, OPTIONS = 9 };
    struct task_tokens tokens = {.num_examples = EXAMPLES, .num_options = OPTIONS, .num_ids = 250};
    struct error err = {0};
    struct bench bench;
    struct model *demo = model;
    double log_likelihood[OPTIONS];
    uint8_t greedy[OPTIONS];
    char relative[128];
    size_t used;

    snprintf(relative, sizeof relative, "tests/golden/families/%s", name);
    char *directory = source_path(relative);
    assert_int_equal(model_open(&model, directory, &err), STATUS_OK);
    assert_int_equal(task_tokens_allocate(&tokens, &err), STATUS_OK);
    used = add_random(&tokens, 0, 0, 4, 11, 0);
    used = add_random(&tokens, 1, 4, 4, strcmp(name, "phi3") == 0 ? 66 : 33, used); // its long factors
    used = add_random(&tokens, 2, 8, 1, 5, used);
    assert_true(used <= tokens.num_ids);
    tokens.first_option[EXAMPLES] = OPTIONS;
    tokens.first_id[EXAMPLES] = used;
    fill_random(&tokens, model);
    bench_open(&bench, 1);
    score(log_likelihood, greedy, &bench, &tokens);
    for (size_t e = 0; e < EXAMPLES; e++)
        for (size_t o = tokens.first_option[e]; o < tokens.first_option[e + 1]; o++) {
            const double alone = sum_alone(&tokens, e, o, model);
            // The same arithmetic but for attention, whose sums are split at the prefix.
            if (!(fabs(log_likelihood[o] - alone) <= 1e-5 * fabs(alone)))
                fail_msg("%s, example %zu, option %zu: %.9g, alone %.9g", name, e, o, log_likelihood[o],
                         alone);
        }
    bench_close(&bench);
    task_tokens_free(&tokens);
    model_close(model);
    model = demo;
    free(directory);
}

static void options_are_scored_as_if_alone_in_every_family(void **state)
{
    static const char *const families[] = {
        "gemma2",    "gemma3",  "gpt-neox", "llama-dynamic",  "llama-linear", "llama-yarn", "llama3",
        "mistral",   "mixtral", "opt",      "opt-norm-after", "phi3",         "qwen2",      "qwen2-moe",
        "qwen3-moe", "gpt2",    "gptj",     "codegen",        "bloom",        "falcon",     "falcon-alibi",
        "mpt",       "granite", "cohere",   "cohere2",        "phi",          "starcoder2", "stablelm"};
    static const char *const with_experts[] = {"deepseek-v2-lite", "deepseek-v3", "dots1"};
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        check_family(families[i]);
    for (size_t i = 0; i < sizeof with_experts / sizeof *with_experts; i++)
        check_family(with_experts[i]);
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
        mpi_unit_test(shots_are_those_of_the_harness),
        mpi_unit_test(mmlu_is_read_in_both_forms),
        mpi_unit_test(public_tasks_agree_with_the_harness),
        mpi_unit_test(all_ranks_and_one_give_the_same_bits),
        mpi_unit_test(what_options_share_is_computed_once),
        mpi_unit_test(what_an_earlier_start_scored_is_taken_over),
        mpi_unit_test(accuracies_by_hand),
        mpi_unit_test(continuations_by_hand),
        mpi_unit_test(options_are_scored_as_if_alone_in_every_family),
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
