// Tasks read from their files: every format's prompts and answers, and what is refused. That the prompts are
// those of the reference is tests/stages/evaluate/test_tasks.c's to show.
#include "io/tasks/task.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include <cmocka.h>

static char *folder;

static struct task_examples *load(const char *name, const char *text, enum task_format format)
{
    struct task_examples *task = NULL;
    struct error err = {0};
    assert_ok(task_load(&task, write_text(folder, name, text), format, 0, NULL, &err), err);
    return task;
}

// Example `e`, option `o` asks "CONTEXT|CONTINUATION".
static void assert_asks(const struct task_examples *task, size_t e, size_t o, const char *expected)
{
    char found[1024];
    assert_true(e < task->num_examples && o < task->examples[e].num_options);
    const struct task_option *option = &task->options[task->examples[e].first_option + o];
    snprintf(found, sizeof found, "%.*s|%.*s", (int)option->context.size, task->text + option->context.offset,
             (int)option->continuation.size, task->text + option->continuation.offset);
    assert_string_equal(found, expected);
}

static void check(const char *name, const char *text, enum task_format format, size_t gold,
                  const char *const *asks, size_t count)
{
    struct task_examples *task = load(name, text, TASK_RECOGNISED);
    assert_int_equal(task->format, format);
    assert_int_equal(task->num_examples, 1);
    assert_int_equal(task->num_options, count);
    assert_int_equal(task->examples[0].gold, gold);
    for (size_t o = 0; o < count; o++)
        assert_asks(task, 0, o, asks[o]);
    task_examples_free(task);
}
#define CHECK(name, text, format, gold, ...)                                          \
    do {                                                                              \
        const char *const asks_[] = {__VA_ARGS__};                                    \
        check((name), (text), (format), (gold), asks_, sizeof asks_ / sizeof *asks_); \
    } while (0)

static void boolq(void **state)
{
    (void)state;
    CHECK("val.jsonl", "{\"question\": \"is it\", \"passage\": \"It is.\", \"idx\": 0, \"label\": true}\n",
          TASK_BOOLQ, 1, "It is.\nQuestion: is it?\nAnswer:| no", "It is.\nQuestion: is it?\nAnswer:| yes");
    CHECK("dev.jsonl", "{\"question\": \"q\", \"title\": \"t\", \"answer\": false, \"passage\": \"p\"}",
          TASK_BOOLQ, 0, "p\nQuestion: q?\nAnswer:| no", "p\nQuestion: q?\nAnswer:| yes");
}

static void rte(void **state)
{
    (void)state;
    CHECK("val.jsonl", "{\"premise\": \"A.\", \"hypothesis\": \"B.\", \"label\": \"not_entailment\"}",
          TASK_RTE, 1, "A.\nQuestion: B. True or False?\nAnswer:| True",
          "A.\nQuestion: B. True or False?\nAnswer:| False");
    CHECK("dev.tsv", "index\tsentence1\tsentence2\tlabel\r\n0\tA \"b\tB.\tentailment\r\n", TASK_RTE, 0,
          "A \"b\nQuestion: B. True or False?\nAnswer:| True",
          "A \"b\nQuestion: B. True or False?\nAnswer:| False");
}

static void hellaswag(void **state)
{
    (void)state;
    CHECK("hellaswag_val.jsonl",
          "{\"activity_label\": \" Sewing\", \"ctx_a\": \"A [title] Cut.\", \"ctx_b\": \"then SHE\", "
          "\"label\": 1,"
          " \"endings\": [\" x [step] y\", \"a [b c\", \"é  [\\n] z \"]}",
          TASK_HELLASWAG, 1, "Sewing: A. Cut. Then she| x y", "Sewing: A. Cut. Then she| a [b c",
          "Sewing: A. Cut. Then she| é [\n] z");
}

static void winogrande(void **state)
{
    (void)state;
    CHECK(
        "dev.jsonl",
        "{\"sentence\": \"Ann saw _ . Then _\", \"option1\": \"Bo\", \"option2\": \"Cy\", \"answer\": \"2\"}",
        TASK_WINOGRANDE, 1, "Ann saw Bo| . Then _", "Ann saw Cy| . Then _");
    write_text(folder, "labelled-labels.lst", "1\n2\n");
    CHECK("labelled.jsonl", "{\"sentence\": \"_ sat\", \"option1\": \"Bo\", \"option2\": \"Cy\"}",
          TASK_WINOGRANDE, 0, "Bo| sat", "Cy| sat");
}

// Results are compared by this hash: answers in the second file are data as much as the examples are.
static void labels_count_in_the_hash(void **state)
{
    (void)state;
    static const char line[] = "{\"sentence\": \"_ sat\", \"option1\": \"Bo\", \"option2\": \"Cy\"}";
    static const char *const labels[] = {"1\n", "2\n"};

    for (size_t i = 0; i < 2; i++) {
        const uint64_t expected[] = {XXH3_64bits(line, strlen(line)), XXH3_64bits(labels[i], 2)};
        write_text(folder, "dev-labels.lst", labels[i]);
        struct task_examples *task = load("dev.jsonl", line, TASK_WINOGRANDE);
        assert_int_equal(task->examples[0].gold, i);
        assert_true(task->hash == XXH3_64bits(expected, sizeof expected));
        task_examples_free(task);
    }
}

static void arc_and_openbookqa(void **state)
{
    (void)state;
    CHECK("ARC-Easy-Test.jsonl",
          "{\"id\": \"Mercury_1\", \"question\": {\"stem\": \"S\", \"choices\": [{\"text\": \"a\", "
          "\"label\": \"1\"},"
          "{\"text\": \"b\", \"label\": \"2\"}, {\"text\": \"c\", \"label\": \"3\"}]}, \"answerKey\": \"3\"}",
          TASK_ARC, 2, "Question: S\nAnswer:| a", "Question: S\nAnswer:| b", "Question: S\nAnswer:| c");
    CHECK("test.jsonl",
          "{\"id\": \"8-376\", \"question\": {\"stem\": \"S\", \"choices\": [{\"text\": \"a\", \"label\": "
          "\"A\"},"
          "{\"text\": \"b\", \"label\": \"B\"}]}, \"answerKey\": \"A\"}",
          TASK_OPENBOOKQA, 0, "S| a", "S| b");
}

static void piqa(void **state)
{
    (void)state;
    write_text(folder, "valid-labels.lst", "1\n");
    CHECK("valid.jsonl", "{\"goal\": \"G\", \"sol1\": \"a\", \"sol2\": \"b\"}", TASK_PIQA, 1,
          "Question: G\nAnswer:| a", "Question: G\nAnswer:| b");
}

static void lambada(void **state)
{
    (void)state;
    CHECK("test.jsonl", "{\"text\": \"one two three\"}", TASK_LAMBADA, 0, "one two| three");
    CHECK("test.jsonl", "{\"text\": \"one\"}", TASK_LAMBADA, 0, "| one");
    CHECK("lambada_test_plain_text.txt", "one , two\n\n", TASK_LAMBADA, 0, "one ,| two");
    assert_false(task_has_choices(TASK_LAMBADA));
}

static void ready_prompts(void **state)
{
    (void)state;
    CHECK("a.jsonl", "{\"query\": \"Q\", \"choices\": [\"a\", \"b\"], \"gold\": 1}", TASK_MULTIPLE_CHOICE, 1,
          "Q| a", "Q| b");
    CHECK("b.jsonl", "{\"context_options\": [\"A\", \"B\"], \"continuation\": \"c\", \"gold\": \"0\"}",
          TASK_CONTEXT_OPTIONS, 0, "A| c", "B| c");
    CHECK("c.jsonl", "{\"context\": \"A\", \"continuation\": \"b\"}", TASK_CONTINUATION, 0, "A| b");
}

static void a_delimiter_goes_between_ready_prompts_only(void **state)
{
    struct task_examples *task = NULL;
    struct error err = {0};
    const char *path = write_text(folder, "a.jsonl", "{\"query\": \"Q\", \"choices\": [\"a\"], \"gold\": 0}");
    (void)state;
    assert_ok(task_load(&task, path, TASK_RECOGNISED, 0, "\nAnswer: ", &err), err);
    assert_asks(task, 0, 0, "Q\nAnswer:| a");
    assert_int_equal(task->options[0].bytes, 1); // not the delimiter's
    task_examples_free(task);
    path = write_text(folder, "l.jsonl", "{\"text\": \"a b\"}");
    assert_int_equal(task_load(&task, path, TASK_RECOGNISED, 0, ": ", &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "l.jsonl: lambada has a prompt of its own");
}

static void an_array_of_examples_is_read_under_any_name(void **state)
{
    static const char *const names[] = {"val.json", "val.JSONL", "val.txt", "val.tsv", "val"};
    static const char array[] = "[\n {\"context\": \"a\",\n  \"continuation\": \"b\"},\n"
                                " {\"context\": \"c\", \"continuation\": \"d]\"}\n]\n";
    struct task_examples *task;
    struct error err = {0};
    (void)state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        task = load(names[i], array, TASK_RECOGNISED);
        assert_int_equal(task->num_examples, 2);
        assert_asks(task, 0, 0, "a| b");
        assert_asks(task, 1, 0, "c| d]");
        task_examples_free(task);
    }
    assert_ok(task_load(&task, write_text(folder, "val.json", array), TASK_RECOGNISED, 1, NULL, &err), err);
    assert_int_equal(task->num_examples, 1);
    task_examples_free(task);
    assert_int_equal(task_load(&task, write_text(folder, "a.json", "[{\"context\": \"a\"},"), TASK_RECOGNISED,
                               0, NULL, &err),
                     STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "a.json:1: ");
    assert_int_equal(
        task_load(&task, write_text(folder, "b.json", "[{\"context\": \"a\", \"continuation\": \"b\"},\n"),
                  TASK_RECOGNISED, 0, NULL, &err),
        STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "b.json:2: not valid JSON: the file ends inside the array");
    // Lines of JSON in a file that is called a table.
    task = load("lines.tsv", "{\"context\": \"a\", \"continuation\": \"b\"}\n", TASK_RECOGNISED);
    assert_asks(task, 0, 0, "a| b");
    task_examples_free(task);
}

static void examples_are_counted_and_limited(void **state)
{
    struct task_examples *all, *some = NULL;
    struct error err = {0};
    static const char text[] = "{\"text\": \"a b\"}\n\n{\"text\": \"c d\"}\n{\"text\": \"e f\"}\n";
    (void)state;
    all = load("l.jsonl", text, TASK_LAMBADA);
    assert_int_equal(all->num_examples, 3);
    assert_int_equal(all->examples[1].line, 3);
    assert_ok(task_load(&some, path_in(folder, "l.jsonl"), TASK_RECOGNISED, 2, NULL, &err), err);
    assert_int_equal(some->num_examples, 2);
    assert_asks(some, 1, 0, "c| d");
    assert_true(all->hash == some->hash);
    task_examples_free(all);
    task_examples_free(some);
}

static void lengths_are_in_bytes_and_in_characters(void **state)
{
    struct task_examples *task = load(
        "a.jsonl", "{\"query\": \"Q\", \"choices\": [\"an olive\", \"tr\\u00e8s \\u20ac\"], \"gold\": 0}",
        TASK_RECOGNISED);
    (void)state;
    assert_int_equal(task->options[0].bytes, 8);
    assert_int_equal(task->options[0].characters, 8);
    assert_int_equal(task->options[1].bytes, 9);
    assert_int_equal(task->options[1].characters, 6);
    task_examples_free(task);
}

static void bad_files_are_refused_with_their_line(void **state)
{
    static const char good[] = "{\"query\": \"Q\", \"choices\": [\"a\", \"b\"], \"gold\": 1}\n";
    static const struct {
        const char *name, *text, *message;
    } cases[] = {
        {"a.jsonl", "", "a.jsonl: there are no examples in it"},
        {"a.jsonl", "\n\n", "a.jsonl: there are no examples in it"},
        {"a.jsonl", "{\"query\": }\n", "a.jsonl:1: not valid JSON"},
        {"a.jsonl", "[1]\n", "a.jsonl:1: not a JSON object"},
        {"a.jsonl", "{\"words\": 1}\n", "a.jsonl:1: not an example of a known task; known formats are boolq"},
        {"a.jsonl", "+{\"query\": \"Q\", \"choices\": [\"a\", \"b\"], \"gold\": 2}",
         "a.jsonl:2: \"gold\" is 2: not one of 2"},
        {"a.jsonl", "+{\"query\": \"Q\", \"choices\": [\"a\", \"b\"], \"gold\": -1}",
         "a.jsonl:2: \"gold\" is -1: not one of 2"},
        {"a.jsonl", "+{\"query\": \"Q\", \"choices\": [\"a\", \"b\"], \"gold\": \"x\"}",
         "a.jsonl:2: \"gold\" is not a whole"},
        {"a.jsonl", "+{\"query\": \"Q\", \"choices\": [\"a\", \"b\"], \"gold\": 0.5}",
         "a.jsonl:2: \"gold\" is not a whole"},
        {"a.jsonl", "+{\"query\": \"Q\", \"choices\": [\"a\", \"b\"]}",
         "a.jsonl:2: the example has no \"gold\""},
        {"a.jsonl", "+{\"query\": \"Q\", \"choices\": [], \"gold\": 0}", "a.jsonl:2: \"choices\" is empty"},
        {"a.jsonl", "+{\"query\": \"Q\", \"choices\": \"ab\", \"gold\": 0}",
         "a.jsonl:2: \"choices\" is not a list"},
        {"a.jsonl", "+{\"query\": \"Q\", \"choices\": [\"a\", 1], \"gold\": 0}",
         "a.jsonl:2: \"choices\"[1] is not a text"},
        {"a.jsonl", "+{\"query\": \"Q\", \"choices\": [\"a\", \"\"], \"gold\": 0}",
         "a.jsonl:2: choice 1 is empty"},
        {"a.jsonl", "+{\"choices\": [\"a\"], \"gold\": 0}", "a.jsonl:2: the example has no \"query\""},
        {"a.jsonl", "+{\"query\": 1, \"choices\": [\"a\"], \"gold\": 0}",
         "a.jsonl:2: \"query\" is not a text"},
        {"a.jsonl", "+{\"query\": \"Q\", \"choices\": [\"a\xff\"], \"gold\": 0}",
         "a.jsonl:2: not valid JSON"},
        {"a.jsonl", "+{\"query\": \"Q\\u0000\"}", "a.jsonl:2: a text with a NUL character"},
        {"b.jsonl", "{\"question\": \"q\", \"passage\": \"p\"}",
         "b.jsonl:1: the example has no \"label\" and no \"answer\""},
        {"b.jsonl", "{\"question\": \"q\", \"passage\": \"p\", \"label\": 1}",
         "b.jsonl:1: \"label\" is not true or false"},
        {"b.jsonl", "{\"premise\": \"q\", \"hypothesis\": \"p\", \"label\": \"neutral\"}",
         "b.jsonl:1: the label is neither"},
        {"b.tsv", "index\tsentence1\tlabel\n", "b.tsv:1: the table has no column \"sentence2\""},
        {"b.tsv", "index\tsentence1\tsentence2\tlabel\n0\ta\n",
         "b.tsv:2: the row has no \"sentence2\": it ends after 2"},
        {"b.txt", "a \xff\n", "b.txt:1: not valid UTF-8"},
        {"b.jsonl", "{\"sentence\": \"no gap\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"1\"}",
         "b.jsonl:1: \"sentence\" has no gap"},
        {"b.jsonl", "{\"sentence\": \"_ x\", \"option1\": \"a\", \"option2\": \"b\", \"answer\": \"3\"}",
         "b.jsonl:1: \"answer\" is 3: not one of 2 choices, counted from 1"},
        {"b.jsonl", "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}",
         "b.jsonl:1: the example has no \"label\", and there is no b-labels.lst next to the file"},
        {"b.jsonl",
         "{\"id\": \"X\", \"question\": {\"stem\": \"S\", \"choices\": [{\"text\": \"a\", \"label\": "
         "\"A\"}]}, \"answerKey\": \"B\"}",
         "b.jsonl:1: \"answerKey\" is the label of none of the 1 choices"},
        {"b.jsonl", "{\"id\": \"X\", \"question\": {\"stem\": \"S\"}, \"answerKey\": \"B\"}",
         "b.jsonl:1: the question has no \"choices\""},
        {"b.jsonl", "{\"id\": \"X\", \"question\": \"S\", \"answerKey\": \"B\"}",
         "b.jsonl:1: the example has no object \"question\""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[1024];
        struct task_examples *task = NULL;
        struct error err = {0};
        snprintf(text, sizeof text, "%s%s", cases[i].text[0] == '+' ? good : "",
                 cases[i].text + (cases[i].text[0] == '+'));
        assert_int_equal(
            task_load(&task, write_text(folder, cases[i].name, text), TASK_RECOGNISED, 0, NULL, &err),
            STATUS_INPUT);
        assert_error(err, STATUS_INPUT, cases[i].message);
        assert_null(task);
    }
}

static void bad_labels_are_refused(void **state)
{
    static const char examples[] = "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n{\"goal\": \"g\", "
                                   "\"sol1\": \"a\", \"sol2\": \"b\"}\n";
    static const struct {
        const char *labels, *message;
    } cases[] = {
        {"0\n", "p.jsonl:2: the example has no label: p-labels.lst ends after 1"},
        {"0\n2\n", "p.jsonl:2: its label, line 2 of p-labels.lst, is 2: not one of 2 choices"},
        {"0\nx\n", "p-labels.lst:2: not a label"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct task_examples *task = NULL;
        struct error err = {0};
        write_text(folder, "p-labels.lst", cases[i].labels);
        assert_int_equal(
            task_load(&task, write_text(folder, "p.jsonl", examples), TASK_RECOGNISED, 0, NULL, &err),
            STATUS_INPUT);
        assert_error(err, STATUS_INPUT, cases[i].message);
    }
}

static void a_format_that_does_not_fit_is_refused(void **state)
{
    struct task_examples *task = NULL;
    struct error err = {0};
    (void)state;
    assert_int_equal(task_load(&task, write_text(folder, "t.tsv", "x\n"), TASK_BOOLQ, 0, NULL, &err),
                     STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "t.tsv: a .tsv file can only be rte");
    assert_int_equal(
        task_load(&task, write_text(folder, "l.jsonl", "{\"text\": \"a b\"}"), TASK_PIQA, 0, NULL, &err),
        STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "l.jsonl:1: the example has no \"goal\"");
    assert_int_equal(task_load(&task, path_in(folder, "nowhere.jsonl"), TASK_PIQA, 0, NULL, &err),
                     STATUS_INPUT);
}

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
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(boolq, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(hellaswag, set_up, tear_down),
        cmocka_unit_test_setup_teardown(winogrande, set_up, tear_down),
        cmocka_unit_test_setup_teardown(labels_count_in_the_hash, set_up, tear_down),
        cmocka_unit_test_setup_teardown(arc_and_openbookqa, set_up, tear_down),
        cmocka_unit_test_setup_teardown(piqa, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lambada, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ready_prompts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_delimiter_goes_between_ready_prompts_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_array_of_examples_is_read_under_any_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(examples_are_counted_and_limited, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lengths_are_in_bytes_and_in_characters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_files_are_refused_with_their_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_labels_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_format_that_does_not_fit_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
