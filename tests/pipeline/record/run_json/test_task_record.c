// task_record.h: what a later start may say of texts, and what stays on record.
#include "pipeline/record/run_json/task_record.h"

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
    static const struct records renamed_a = {
        PLAIN_A, "'evaluation': [{'file': '/a2', 'xxh3': 'a2'}, {'file': '/t', 'xxh3': 'tt'}]"};
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

    check(&a, &other_a, NULL,
          "run.json: evaluate.perplexity: /a has changed since the run was begun: put it back as it was, "
          "or use another run directory");
    check(&a, &renamed_a, NULL, "the run was begun with /a, and /a2 is something else: name the first again");
    check(&a, &moved_a, &moved_a, NULL); // paths do not count
    check(&a, &other_tokenizer, NULL, "evaluate.perplexity: /t has changed since");
    check(&a, &without_tokenizer, &without_tokenizer, NULL); // which then is the model's
    check(&b, &other_b, NULL,
          "evaluate.perplexity: /b has changed since the run was begun: put it back as it was, or give "
          "the text another name");
    check(&a, &other_length, NULL, "evaluate.length: 64 before, 32 now");
    check(&none, &other_length, &other_length, NULL);
}

static void another_field_is_refused(void **state)
{
    static const struct records a_field = {"'perplexity': {'data': '/a', 'field': 'body'}, 'length': 64",
                                           EVALUATION_A};
    static const struct records b_field = {
        "'perplexity': [{'name': 'b', 'data': '/b', 'field': 'body'}], 'length': 64",
        "'evaluation': [], 'texts': [" STAMP_B "]"};
    static const struct records a_field_and_b = {
        "'perplexity': [{'data': '/a', 'field': 'body'}, {'name': 'b', 'data': '/b'}], 'length': 64",
        EVALUATION_A ", 'texts': [" STAMP_B "]"};
    json_t *plain = record(a.evaluate, a.fingerprints),
           *with = record(a_field.evaluate, a_field.fingerprints), *identities[2];
    (void)state;

    check(&a_field, &a_field, &a_field, NULL);
    check(&b_field, &b_field, &b_field, NULL);
    check(&a_field, &b, &a_field_and_b, NULL); // stays on record with its field
    check(&a, &a_field, NULL, "begun with evaluate.perplexity.field text, and the job says body now");
    check(&a_field, &a, NULL, "begun with evaluate.perplexity.field body, and the job says text now");
    check(&b, &b_field, NULL, "begun with evaluate.perplexity.field text, and the job says body now");

    // What a result was measured with: without a field as ever.
    identities[0] = text_record_identity(plain, NULL);
    identities[1] = text_record_identity(with, NULL);
    assert_null(json_object_get(identities[0], "field"));
    assert_string_equal(json_string_value(json_object_get(identities[1], "field")), "body");
    json_decref(identities[0]);
    json_decref(identities[1]);
    json_decref(plain);
    json_decref(with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_may_come_later_and_stay_on_record),
                                       cmocka_unit_test(a_text_without_a_name_comes_first),
                                       cmocka_unit_test(a_text_that_changed_is_refused),
                                       cmocka_unit_test(another_field_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
