// Files of tasks.
#include "io/tasks/files.h"
#include "io/tasks/task.h"
#include "tests/fuzz/parsers.h"
#include "tests/fuzz/promise.h"

#include <string.h>

static void check_span(const struct task_examples *examples, struct task_span span)
{
    PROMISE(is_utf8(examples->text + span.offset, span.size));
}

static void check_examples(const struct task_examples *examples)
{
    size_t next = 0;

    PROMISE(examples->num_examples > 0 && examples->format < TASK_RECOGNISED);
    for (size_t e = 0; e < examples->num_examples; e++) {
        const struct task_example *example = &examples->examples[e];
        PROMISE(example->first_option == next && example->num_options > 0);
        PROMISE(example->gold < example->num_options && example->line > 0);
        next += example->num_options;
    }
    PROMISE(next == examples->num_options);
    for (size_t o = 0; o < examples->num_options; o++) {
        const struct task_option *option = &examples->options[o];
        check_span(examples, option->context);
        check_span(examples, option->continuation);
        PROMISE(option->continuation.size > 0 && option->characters <= option->bytes);
    }
}

static bool read_task(const char *name, enum task_format format, size_t shots)
{
    const char *path = work_path(name);
    const struct task_source source = {.path = path, .format = format, .shots = shots, .shots_from = path};
    struct task_examples *examples = NULL;
    struct error err = {0};

    if (!OUTCOME(task_load_source(&examples, &source, &err), err, MAY(STATUS_INPUT)))
        return false;
    check_examples(examples);
    task_examples_free(examples);
    return true;
}

bool fuzz_task(const uint8_t *data, size_t size)
{
    work_file("task.jsonl", data, size);
    const bool good = read_task("task.jsonl", TASK_RECOGNISED, 0);
    read_task("task.jsonl", (enum task_format)(size % TASK_RECOGNISED), size % 2);
    return good;
}

bool fuzz_task_tables(const uint8_t *data, size_t size)
{
    static const char physical[] = "{\"goal\": \"g\", \"sol1\": \"a\", \"sol2\": \"b\"}\n";
    static const char table[] = "q,a,b,c,d,A\n";

    work_file("task.tsv", data, size);
    bool good = read_task("task.tsv", TASK_RTE, 0);
    work_file("task.txt", data, size);
    good = read_task("task.txt", TASK_LAMBADA, 0) || good;
    work_file("piqa/valid.jsonl", physical, strlen(physical));
    work_file("piqa/valid-labels.lst", data, size);
    good = read_task("piqa/valid.jsonl", TASK_PIQA, 0) || good;
    work_file("mmlu/dev/anatomy_dev.csv", table, strlen(table));
    work_file("mmlu/test/anatomy_test.csv", data, size);
    const struct task_source source = {.path = work_path("mmlu"), .format = TASK_MMLU, .shots = 1};
    struct task_examples *examples = NULL;
    struct error err = {0};
    if (!OUTCOME(task_load_source(&examples, &source, &err), err, MAY(STATUS_INPUT)))
        return good;
    check_examples(examples);
    task_examples_free(examples);
    return true;
}
