// shots.h, mmlu.h, python_random.h: where shots come from, Python's draws, tables of MMLU. That prompts are
// the reference's is tests/stages/evaluate/test_tasks.c's.
#include "io/tasks/files.h"
#include "io/tasks/mmlu.h"
#include "io/tasks/python_random.h"
#include "io/tasks/shots.h"
#include "io/tasks/task.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char *folder;

static int set_up(void **state)
{
    (void)state;
    folder = temporary_folder_create();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    temporary_folder_remove(folder);
    folder = NULL;
    return 0;
}

// python3 -c 'from random import Random
// r = Random(1234); print(r.sample(range(N), K), r.sample(range(N), K))'
static void draws_are_those_of_python(void **state)
{
    static const struct {
        size_t population, count, first[8], second[8];
    } known[] = {
        {5, 3, {3, 0, 4}, {0, 4, 2}},
        {21, 5, {14, 3, 0, 2, 1}, {2, 3, 11, 7, 0}},
        {22, 5, {14, 3, 0, 2, 18}, {1, 21, 2, 3, 11}},
        {70, 6, {56, 14, 0, 11, 4, 10}, {12, 45, 30, 2, 3, 66}},
        {85, 6, {56, 14, 0, 11, 74, 4}, {10, 12, 45, 30, 2, 3}},
        {86, 6, {56, 14, 0, 11, 74, 4}, {85, 10, 12, 45, 30, 2}},
        {1000, 8, {989, 796, 451, 119, 7, 92, 932, 965}, {961, 826, 596, 35, 687, 709, 85, 100}},
        {8, 8, {7, 0, 6, 5, 4, 2, 3, 1}, {5, 1, 0, 7, 4, 6, 2, 3}},
    };
    struct python_random random;
    struct error err = {0};
    size_t drawn[8];
    (void)state;

    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        python_random_seed(&random, 1234);
        for (int twice = 0; twice < 2; twice++) {
            assert_int_equal(python_random_sample(drawn, &random, known[k].population, known[k].count, &err),
                             STATUS_OK);
            assert_memory_equal(drawn, twice == 0 ? known[k].first : known[k].second,
                                known[k].count * sizeof *drawn);
        }
    }
    python_random_seed(&random, 4000000000U);
    for (size_t i = 0; i < 2000; i++) // beyond one state
        (void)python_random_below(&random, 7);
    assert_int_equal(python_random_below(&random, 1000000007), 134602346);
}

// ---- where shots come from ------------------------------------------------------------------------------

static void assert_from(const char *data, enum task_format format, const char *expected)
{
    char path[PATH_SIZE], full[PATH_SIZE], whole[PATH_SIZE];
    struct error err = {0};
    snprintf(full, sizeof full, "%s/%s", folder, data);
    const struct task_source source = {.path = full, .format = format, .shots = 1};

    if (expected == NULL) {
        assert_int_equal(task_shots_path(path, sizeof path, &source, &err), STATUS_INPUT);
        assert_non_null(strstr(err.message, "shots_from"));
        return;
    }
    snprintf(whole, sizeof whole, "%s/%s", folder, expected);
    assert_ok(task_shots_path(path, sizeof path, &source, &err), err);
    assert_string_equal(path, whole);
}

static void training_examples_are_found_next_to_the_data(void **state)
{
    static const char *const there[] = {"train.jsonl", "ARC-Easy-Train.jsonl", "hellaswag_train.jsonl",
                                        "train.tsv", "dev.jsonl"};
    (void)state;
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        (void)write_text(folder, there[i], "x");
    assert_from("val.jsonl", TASK_BOOLQ, "train.jsonl");
    assert_from("dev.jsonl", TASK_WINOGRANDE, "train.jsonl");
    assert_from("dev.tsv", TASK_RTE, "train.tsv");
    assert_from("ARC-Easy-Test.jsonl", TASK_ARC, "ARC-Easy-Train.jsonl");
    assert_from("hellaswag_val.jsonl", TASK_HELLASWAG, "hellaswag_train.jsonl");
    assert_from("test.jsonl", TASK_MMLU, "dev.jsonl");
    assert_from("ARC-Challenge-Test.jsonl", TASK_ARC, NULL);
    assert_from("questions.jsonl", TASK_ARC, NULL);
    (void)write_text(folder, "train_xl.jsonl", "x");
    assert_from("dev.jsonl", TASK_WINOGRANDE, "train_xl.jsonl");
}

// ---- MMLU -----------------------------------------------------------------------------------------------

static void write_table(const char *split, const char *text)
{
    char name[64];
    snprintf(name, sizeof name, "%s/%s", folder, split);
    (void)mkdir(name, 0777);
    snprintf(name, sizeof name, "%s/anatomy_%s.csv", split, split);
    (void)write_text(folder, name, text);
}

static enum status load(struct task_examples **task, size_t shots, size_t limit, struct error *err)
{
    const struct task_source source = {
        .path = folder, .format = TASK_RECOGNISED, .shots = shots, .limit = limit};
    return task_load_source(task, &source, err);
}

static void a_table_is_read_with_its_quotes(void **state)
{
    static const char *const context =
        "The following are multiple choice questions (with answers) about anatomy.\n\n"
        "Which, of \"two\"\nbones?\nA. a,b\nB. \nC. c\nD. d\nAnswer:";
    struct task_examples *task = NULL;
    struct error err = {0};
    (void)state;

    write_table("test", "\" Which, of \"\"two\"\"\nbones? \",\"a,b\",,c,d,C\r\nAgain?,1,2,3,4,A");
    assert_ok(load(&task, 0, 0, &err), err);
    assert_int_equal(task->format, TASK_MMLU);
    assert_int_equal(task->num_examples, 2);
    assert_int_equal(task->examples[0].gold, 2);
    assert_int_equal(task->examples[0].line, 1);
    assert_int_equal(task->examples[1].line, 3);
    assert_int_equal(task->options[0].context.size, strlen(context));
    assert_memory_equal(task->text + task->options[0].context.offset, context, strlen(context));
    task_examples_free(task);

    assert_ok(load(&task, 0, 1, &err), err);
    assert_int_equal(task->num_examples, 1);
    task_examples_free(task);
}

static void a_bad_table_is_refused_with_file_and_line(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"q,1,2,3,4,A\nq,1,2,3,4\n", "anatomy_test.csv:2: the row has 5 cells, not 6"},
        {"\"q\nq\",1,2,3,4,A\nq,1,2,3,4,E\n", "anatomy_test.csv:3: the last cell is not A, B, C or D"},
        {"q,1,2,3,\"4,A\n", "anatomy_test.csv:1: a quote is not closed"},
        {"q,1,2,3,4,A\nq,\xff,2,3,4,A\n", "anatomy_test.csv:2: not valid UTF-8 text at byte 3"},
        {"", "a folder is read as MMLU's, and has no table test/SUBJECT_test.csv"}};
    struct task_examples *task = NULL;
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct error err = {0};
        write_table("test", cases[i].text);
        assert_int_equal(load(&task, 0, 0, &err), STATUS_INPUT);
        if (strstr(err.message, cases[i].says) == NULL)
            fail_msg("%s", err.message);
        assert_null(task);
    }
}

static void too_few_shots_are_refused(void **state)
{
    struct task_examples *task = NULL;
    struct error err = {0};
    (void)state;

    write_table("test", "q,1,2,3,4,A\n");
    write_table("dev", "d,1,2,3,4,B\ne,1,2,3,4,C\n");
    assert_ok(load(&task, 2, 0, &err), err);
    task_examples_free(task);
    assert_int_equal(load(&task, 3, 0, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, "3 shots are to be drawn, and anatomy has 2 examples in it"));

    // From the questions themselves one more is drawn, and the message has the job's own number.
    const char *questions = write_text(folder, "q.jsonl",
                                       "{\"query\": \"a\", \"choices\": [\"b\", \"c\"], \"gold\": 0}\n"
                                       "{\"query\": \"d\", \"choices\": [\"e\", \"f\"], \"gold\": 1}\n");
    const struct task_source source = {
        .path = questions, .format = TASK_MULTIPLE_CHOICE, .shots = 2, .shots_from = questions};
    assert_int_equal(task_load_source(&task, &source, &err), STATUS_INPUT);
    assert_non_null(strstr(err.message, "2 shots are to be drawn, from one example more, as one may be the "
                                        "question itself, and there are 2 examples in it"));
}

static void every_file_of_a_task_is_listed(void **state)
{
    struct task_files files;
    struct error err = {0};
    const struct task_source source = {.path = folder, .format = TASK_MMLU, .shots = 1};
    (void)state;

    write_table("test", "q,1,2,3,4,A\n");
    write_table("dev", "d,1,2,3,4,B\n");
    assert_ok(task_files_list(&files, &source, &err), err);
    assert_int_equal(files.count, 2);
    assert_non_null(strstr(files.paths[0], "/test/anatomy_test.csv"));
    assert_non_null(strstr(files.paths[1], "/dev/anatomy_dev.csv"));
    task_files_free(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(draws_are_those_of_python),
        cmocka_unit_test_setup_teardown(training_examples_are_found_next_to_the_data, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_table_is_read_with_its_quotes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_bad_table_is_refused_with_file_and_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_few_shots_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_file_of_a_task_is_listed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
