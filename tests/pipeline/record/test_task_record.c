// task_record.h: what a later start may say of texts, and what stays on record.
#include "pipeline/record/task_record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Records have one fingerprint a text: a without a name, b and c with one.
#define EVALUATION_A "'evaluation': [{'file': '/a', 'xxh3': 'aa'}, {'file': '/t', 'xxh3': 'tt'}]"
#define STAMP_B "{'file': '/b', 'xxh3': 'bb', 'text': 'b'}"
#define STAMP_C "{'file': '/c', 'xxh3': 'cc', 'text': 'c'}"
#define PLAIN_A "'perplexity': '/a', 'length': 64"

// A record from JSON with single quotes.
static json_t *record(const char *evaluate, const char *fingerprints)
{
    json_t *result = json_object(), *job = json_object();
    const char *const texts[] = {evaluate, fingerprints};
    json_t *parsed[2];

    for (size_t i = 0; i < 2; i++) {
        char text[1024];
        snprintf(text, sizeof text, "{%s}", texts[i]);
        for (char *c = text; *c != '\0'; c++)
            *c = *c == '\'' ? '"' : *c;
        parsed[i] = json_loads(text, 0, NULL);
        assert_non_null(parsed[i]);
    }
    json_object_set_new(job, "evaluate", parsed[0]);
    json_object_set_new(result, "job", job);
    json_object_set_new(result, "fingerprints", parsed[1]);
    return result;
}

struct records {
    const char *evaluate, *fingerprints; // of one start
};

// Compares two starts. says NULL: the second is accepted, and its record is then that of `kept`.
static void check(const struct records *before, const struct records *now, const struct records *kept,
                  const char *says)
{
    json_t *old = record(before->evaluate, before->fingerprints),
           *new = record(now->evaluate, now->fingerprints);
    struct error err = {0};
    const enum status status = text_record_compare(new, old, "run.json", &err);

    if (says != NULL) {
        assert_int_equal(status, STATUS_USAGE);
        if (strstr(err.message, says) == NULL)
            fail_msg("%s", err.message);
    } else {
        json_t *expected = record(kept->evaluate, kept->fingerprints);
        assert_int_equal(status, STATUS_OK);
        if (!json_equal(new, expected)) {
            char *found = json_dumps(new, 0);
            fail_msg("%s", found);
        }
        json_decref(expected);
    }
    json_decref(old);
    json_decref(new);
}

static const struct records none = {"'tasks': [1]", "'evaluation': []"};
static const struct records a = {PLAIN_A, EVALUATION_A};
static const struct records b = {"'perplexity': [{'name': 'b', 'data': '/b'}], 'length': 64",
                                 "'evaluation': [], 'texts': [" STAMP_B "]"};
static const struct records c = {"'perplexity': [{'name': 'c', 'data': '/c'}], 'length': 64",
                                 "'evaluation': [], 'texts': [" STAMP_C "]"};

static void texts_may_come_later_and_stay_on_record(void **state)
{
    static const struct records none_then_a = {"'perplexity': '/a', 'length': 64, 'tasks': [1]",
                                               EVALUATION_A};
    static const struct records none_then_b = {
        "'perplexity': [{'name': 'b', 'data': '/b'}], 'length': 64, 'tasks': [1]",
        "'evaluation': [], 'texts': [" STAMP_B "]"};
    static const struct records c_and_b = {
        "'perplexity': [{'name': 'c', 'data': '/c'}, {'name': 'b', 'data': '/b'}], 'length': 64",
        "'evaluation': [], 'texts': [" STAMP_C ", " STAMP_B "]"};
    (void)state;

    check(&none, &a, &a, NULL); // added; tasks are compared elsewhere
    check(&a, &a, &a, NULL);
    check(&b, &b, &b, NULL);
    check(&a, &none, &none_then_a, NULL); // left out
    check(&b, &none, &none_then_b, NULL);
    check(&b, &c, &c_and_b, NULL); // another one
}

static void a_text_without_a_name_comes_first(void **state)
{
    static const struct records a_and_b = {"'perplexity': ['/a', {'name': 'b', 'data': '/b'}], 'length': 64",
                                           EVALUATION_A ", 'texts': [" STAMP_B "]"};
    (void)state;

    check(&a, &b, &a_and_b, NULL);
    check(&a_and_b, &b, &a_and_b, NULL);
}

static void a_text_that_changed_is_refused(void **state)
{
    static const struct records other_a = {
        PLAIN_A, "'evaluation': [{'file': '/a', 'xxh3': 'a2'}, {'file': '/t', 'xxh3': 'tt'}]"};
    static const struct records moved_a = {
        PLAIN_A, "'evaluation': [{'file': '/x/a', 'xxh3': 'aa'}, {'file': '/t', 'xxh3': 'tt'}]"};
    static const struct records other_tokenizer = {
        PLAIN_A, "'evaluation': [{'file': '/a', 'xxh3': 'aa'}, {'file': '/t', 'xxh3': 't2'}]"};
    static const struct records without_tokenizer = {PLAIN_A, "'evaluation': [{'file': '/a', 'xxh3': 'aa'}]"};
    static const struct records other_b = {
        "'perplexity': [{'name': 'b', 'data': '/b'}], 'length': 64",
        "'evaluation': [], 'texts': [{'file': '/b', 'xxh3': 'b2', 'text': 'b'}]"};
    static const struct records other_length = {"'perplexity': '/a', 'length': 32", EVALUATION_A};
    (void)state;

    check(&a, &other_a, NULL, "evaluate.perplexity is another text");
    check(&a, &moved_a, &moved_a, NULL); // paths do not count
    check(&a, &other_tokenizer, NULL, "tokenizer.json differs");
    check(&a, &without_tokenizer, &without_tokenizer, NULL); // which then is the model's
    check(&b, &other_b, NULL, "text b: its data has changed");
    check(&a, &other_length, NULL, "evaluate.length: 64 before, 32 now");
    check(&none, &other_length, &other_length, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_may_come_later_and_stay_on_record),
                                       cmocka_unit_test(a_text_without_a_name_comes_first),
                                       cmocka_unit_test(a_text_that_changed_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
