// tokenizer.h: text becomes the ids that Hugging Face's `tokenizers` gives, for every layout of
// tokenizer.json in tests/golden/tokenizer (made by tests/golden/make_tokenizer_golden.py) and, where they
// are at hand, real files.
#include "io/tokenizer/tokenizer.h"
#include "tests/support/temporary_folder.h"

#include <jansson.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *source(const char *name)
{
    static char path[PATH_MAX];
    const char *folder = getenv("COPPICE_SOURCE");
    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : ".", name);
    return path;
}

static struct tokenizer *load(const char *path)
{
    struct tokenizer *tokenizer = NULL;
    struct error err = {0};
    assert_ok(tokenizer_load(&tokenizer, path, &err), err);
    return tokenizer;
}

static json_t *load_json(const char *path)
{
    json_error_t problem;
    json_t *json = json_load_file(path, JSON_ALLOW_NUL, &problem);
    if (json == NULL)
        fail_msg("%s: %s", path, problem.text);
    return json;
}

// The ids of text must be those of the JSON array.
static void check_ids(struct tokenizer *tokenizer, const char *name, const json_t *text,
                      const json_t *expected, bool special)
{
    int32_t *ids = NULL;
    size_t count = 0;
    struct error err = {0};

    assert_ok(tokenizer_encode(tokenizer, json_string_value(text), json_string_length(text), special, &ids,
                               &count, &err),
              err);
    for (size_t i = 0; i < count || i < json_array_size(expected); i++) {
        const long long ours = i < count ? ids[i] : -1;
        const long long theirs =
            i < json_array_size(expected) ? json_integer_value(json_array_get(expected, i)) : -1;
        if (ours != theirs)
            fail_msg("%s, \"%s\": id %zu of %zu is %lld, not %lld of %zu", name, json_string_value(text), i,
                     count, ours, theirs, json_array_size(expected));
    }
    free(ids);
}

static void every_layout_gives_the_reference_ids(void **state)
{
    json_t *vectors = load_json(source("tests/golden/tokenizer/vectors.json"));
    const json_t *texts = json_object_get(vectors, "texts");
    const char *name;
    json_t *ids;
    size_t layouts = 0;

    (void)state;
    json_object_foreach(json_object_get(vectors, "ids"), name, ids)
    {
        char path[128];
        size_t i;
        json_t *expected;
        struct tokenizer *tokenizer;

        snprintf(path, sizeof path, "tests/golden/tokenizer/%s.json", name);
        tokenizer = load(source(path));
        assert_int_equal(tokenizer_vocabulary_size(tokenizer),
                         json_integer_value(json_object_get(ids, "vocabulary_size")));
        json_array_foreach(json_object_get(ids, "plain"), i, expected)
            check_ids(tokenizer, name, json_array_get(texts, i), expected, false);
        json_array_foreach(json_object_get(ids, "special"), i, expected)
            check_ids(tokenizer, name, json_array_get(texts, i), expected, true);
        tokenizer_free(tokenizer);
        layouts++;
    }
    assert_true(layouts >= 15);
    json_decref(vectors);
}

// Random combinations of what a tokenizer.json can hold; the model is that of a layout.
static void every_pipeline_gives_the_reference_ids(void **state)
{
    json_t *file = load_json(source("tests/golden/tokenizer/pipelines.json"));
    const json_t *texts = json_object_get(file, "texts");
    char *folder = temporary_folder_create();
    json_t *pipeline;
    size_t p;

    (void)state;
    assert_true(json_array_size(json_object_get(file, "pipelines")) >= 50);
    json_array_foreach(json_object_get(file, "pipelines"), p, pipeline)
    {
        json_t *parts = json_object_get(pipeline, "parts");
        json_t *layout;
        json_t *expected;
        char name[128];
        size_t i;
        struct tokenizer *tokenizer;

        snprintf(name, sizeof name, "tests/golden/tokenizer/%s.json",
                 json_string_value(json_object_get(pipeline, "model")));
        layout = load_json(source(name));
        json_object_update(json_object_get(layout, "model"), json_object_get(pipeline, "flags"));
        json_object_set(parts, "model", json_object_get(layout, "model"));
        assert_int_equal(json_dump_file(parts, path_in(folder, "tokenizer.json"), 0), 0);
        tokenizer = load(path_in(folder, "tokenizer.json"));
        snprintf(name, sizeof name, "pipeline %zu", p);
        json_array_foreach(json_object_get(pipeline, "ids"), i, expected) check_ids(
            tokenizer, name,
            json_array_get(texts,
                           (size_t)json_integer_value(json_array_get(json_object_get(pipeline, "texts"), i))),
            expected, json_is_true(json_object_get(pipeline, "special")));
        tokenizer_free(tokenizer);
        json_decref(layout);
    }
    temporary_folder_remove(folder);
    json_decref(file);
}

// ../shared/tokenizers/NAME/{tokenizer,vectors}.json: files of real models with ids of 47 texts.
static void real_tokenizers_give_the_reference_ids(void **state)
{
    static const char *const names[] = {"gpt-2", "llama-2", "qwen2.5"};

    (void)state;
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
        char path[128];
        struct tokenizer *tokenizer;
        json_t *vectors;
        json_t *vector;
        size_t i;

        snprintf(path, sizeof path, "../shared/tokenizers/%s/tokenizer.json", names[n]);
        if (access(source(path), R_OK) != 0) {
            print_message("%s is not there: skipped\n", source(path));
            skip();
        }
        tokenizer = load(source(path));
        snprintf(path, sizeof path, "../shared/tokenizers/%s/vectors.json", names[n]);
        vectors = load_json(source(path));
        assert_int_equal(json_array_size(vectors), 47);
        json_array_foreach(vectors, i, vector) check_ids(tokenizer, names[n], json_object_get(vector, "text"),
                                                         json_object_get(vector, "ids"), false);
        json_decref(vectors);
        tokenizer_free(tokenizer);
    }
}

static void an_empty_text_gives_the_template_alone(void **state)
{
    struct tokenizer *tokenizer = load(source("tests/golden/tokenizer/llama-2.json"));
    struct error err = {0};
    int32_t *ids = NULL;
    size_t count = 9;

    (void)state;
    assert_ok(tokenizer_encode(tokenizer, "", 0, true, &ids, &count, &err), err);
    assert_int_equal(count, 1);
    assert_int_equal(ids[0], 1); // <s>
    free(ids);
    assert_ok(tokenizer_encode(tokenizer, NULL, 0, false, &ids, &count, &err), err);
    assert_int_equal(count, 0);
    assert_non_null(ids);
    free(ids);
    tokenizer_free(tokenizer);
}

static void text_that_is_not_utf8_is_refused_with_its_offset(void **state)
{
    static const struct {
        const char *text;
        size_t size;
        const char *offset;
    } cases[] = {
        {"\xff", 1, "byte 0"},
        {"abc\x80", 4, "byte 3"},                  // a continuation byte alone
        {"abcdefgh\xc3", 9, "byte 8"},             // cut off
        {"a\xc3(", 3, "byte 1"},                   // not continued
        {"ab\xc0\xaf", 4, "byte 2"},               // overlong
        {"\xe0\x80\xaf", 3, "byte 0"},             // overlong
        {"xyz\xed\xa0\x80", 6, "byte 3"},          // a surrogate
        {"\xf4\x90\x80\x80", 4, "byte 0"},         // beyond U+10FFFF
        {"0123456789\xf0\x9f\x98", 13, "byte 10"}, // cut off
        {"\xe6\x97\xa5\xe6\x97", 5, "byte 3"},     // cut off
    };
    struct tokenizer *tokenizer = load(source("tests/golden/tokenizer/gpt-2.json"));

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error err = {0};
        int32_t *ids = NULL;
        size_t count = 0;
        assert_int_equal(tokenizer_encode(tokenizer, cases[i].text, cases[i].size, true, &ids, &count, &err),
                         STATUS_INPUT);
        assert_error(err, STATUS_INPUT, cases[i].offset);
        assert_null(ids);
        assert_int_equal(count, 0);
    }
    tokenizer_free(tokenizer);
}

// A long text is gone through in the same pieces as a short one: a period repeated has the ids of the period
// repeated, far beyond what the cache of words holds.
static void a_long_text_has_the_ids_of_its_parts(void **state)
{
    static const char period[] = " the LORD xyzzy 12345 \xc3\xa9\xe6\x97\xa5 !? \n\n and\n";
    const size_t size = strlen(period);
    const size_t repeats = 20000;
    struct tokenizer *tokenizer = load(source("tests/golden/tokenizer/llama-3.json"));
    struct error err = {0};
    char *text = malloc(repeats * size);
    int32_t *part = NULL;
    int32_t *whole = NULL;
    size_t part_count = 0;
    size_t whole_count = 0;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < repeats; i++)
        memcpy(text + i * size, period, size);
    assert_ok(tokenizer_encode(tokenizer, period, size, false, &part, &part_count, &err), err);
    assert_ok(tokenizer_encode(tokenizer, text, repeats * size, false, &whole, &whole_count, &err), err);
    assert_int_equal(whole_count, repeats * part_count);
    for (size_t i = 0; i < repeats; i++)
        assert_memory_equal(whole + i * part_count, part, part_count * sizeof *part);
    free(part);
    free(whole);
    free(text);
    tokenizer_free(tokenizer);
}

// More words than the cache holds, twice: the ids stay what they were.
static void many_different_words_have_the_same_ids_again(void **state)
{
    const size_t words = 100000;
    const size_t size = 8; // of each, with its space
    struct tokenizer *tokenizer = load(source("tests/golden/tokenizer/gpt-2.json"));
    struct error err = {0};
    char *text = malloc(2 * words * size + 1);
    int32_t *ids = NULL;
    size_t count = 0;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < 2 * words; i++) {
        size_t number = i % words;
        text[i * size] = ' ';
        for (size_t k = 1; k < size; k++, number /= 9)
            text[i * size + k] = "etaoinshr"[number % 9];
    }
    assert_ok(tokenizer_encode(tokenizer, text, 2 * words * size, false, &ids, &count, &err), err);
    assert_int_equal(count % 2, 0);
    assert_memory_equal(ids, ids + count / 2, count / 2 * sizeof *ids);
    free(ids);
    free(text);
    tokenizer_free(tokenizer);
}

// A word of a megabyte in one piece, of one kind of letter and of many: with anything quadratic this would
// take hours.
static void a_long_word_takes_no_quadratic_time(void **state)
{
    static const char *const names[] = {"gpt-2", "llama-2", "qwen2.5", "gemma"};
    const size_t size = 1 << 20;
    char *text = malloc(size);

    (void)state;
    assert_non_null(text);
    for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
        for (size_t kind = 0; kind < 3; kind++) {
            char path[128];
            struct tokenizer *tokenizer;
            struct error err = {0};
            int32_t *ids = NULL;
            size_t count = 0;
            uint32_t random = 1;

            snprintf(path, sizeof path, "tests/golden/tokenizer/%s.json", names[n]);
            tokenizer = load(source(path));
            for (size_t i = 0; i < size; i++) {
                random = random * 1664525 + 1013904223;
                text[i] = kind == 0 ? 'a' : kind == 1 ? "etaoinshrdlu"[(random >> 16) % 12] : ' ';
            }
            assert_ok(tokenizer_encode(tokenizer, text, size, false, &ids, &count, &err), err);
            assert_in_range(count, 1, size + 1);
            free(ids);
            tokenizer_free(tokenizer);
        }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_layout_gives_the_reference_ids),
        cmocka_unit_test(every_pipeline_gives_the_reference_ids),
        cmocka_unit_test(real_tokenizers_give_the_reference_ids),
        cmocka_unit_test(an_empty_text_gives_the_template_alone),
        cmocka_unit_test(text_that_is_not_utf8_is_refused_with_its_offset),
        cmocka_unit_test(a_long_text_has_the_ids_of_its_parts),
        cmocka_unit_test(many_different_words_have_the_same_ids_again),
        cmocka_unit_test(a_long_word_takes_no_quadratic_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
