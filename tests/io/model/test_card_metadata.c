// wrap: malloc strdup
// Metadata in front of README.md: what is kept, and what is no metadata.
#include "io/model/card_metadata.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ---- allocations that fail on demand -------------------------------------------------------------------

static struct {
    bool active, failed;
    size_t after; // this many go well
} plan;

void *__real_malloc(size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
char *__wrap_strdup(const char *text);

static bool fails(void)
{
    if (!plan.active || plan.failed)
        return false;
    plan.failed = plan.after == 0;
    plan.after--;
    return plan.failed;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

static void *malloc_of_jansson(size_t size)
{
    return malloc(size); // Jansson is a library of its own, whose calls are not replaced
}

// ---- tests ----------------------------------------------------------------------------------------------

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

static void what_holds_of_a_pruned_model_is_kept(void **state)
{
    struct error err = {0};
    json_t *metadata, *expected = json_pack("{s:s, s:[s, s], s:[s]}", "license", "mit", "language", "en",
                                            "no", "tags", "llama");
    char *notice;

    assert_ok(card_metadata_read(&metadata, &notice, *state, &err), err); // no README.md
    assert_int_equal(json_object_size(metadata), 0);
    json_decref(metadata);
    write_text(*state, "README.md",
               "---\nlicense: mit\nlanguage:\n- en\n- \"no\"\ntags: [llama, [nested]]\nbase_model: a/b\n"
               "license_link: {a: b}\nmodel-index:\n- name: theirs\n---\n# Text\nlicense_name: text\n---\n");
    assert_ok(card_metadata_read(&metadata, &notice, *state, &err), err);
    assert_string_equal(notice, "tags: neither a text nor a list of texts");
    free(notice);
    assert_true(json_equal(metadata, expected));
    json_decref(metadata);
    json_decref(expected);
}

static void odd_metadata_is_taken_as_yaml_says(void **state)
{
    static const struct {
        const char *yaml, *json;
        const char *notice; // NULL: none
    } cases[] = {
        {"license: ~\nlanguage: null\nlibrary_name:\npipeline_tag: !!null x\n", "{}", NULL},
        {"license: 'null'\nlicense_name: \"~\"\n", "{\"license\": \"null\", \"license_name\": \"~\"}", NULL},
        {"tags: [a, null, ~, b, 2024, true]\n", "{\"tags\": [\"a\", \"b\", \"2024\", \"true\"]}", NULL},
        {"language: no\n", "{\"language\": \"no\"}", NULL}, // Norwegian
        {"license: \"a\\x7fb\\x01c\\u0085d\\u202ee\"\n", "{\"license\": \"a b c d e\"}", NULL},
        {"license: |\n  one\n  two\n", "{\"license\": \"one two \"}", NULL},
        {"license: >-\n  one\n  two\n", "{\"license\": \"one two\"}", NULL},
        {"license: &l mit\nlicense_name: *l\ntags: [*l, *l]\n",
         "{\"license\": \"mit\", \"license_name\": \"mit\", \"tags\": [\"mit\", \"mit\"]}", NULL},
        {"tags: &t [a, *t]\n", "{\"tags\": [\"a\"]}", "tags: neither a text nor a list of texts"},
        {"license: {name: mit}\nlanguage: [{en: 1}, de]\n", "{\"language\": [\"de\"]}",
         "license: neither a text nor a list of texts"},
        {"license: !custom mit\n? [a, b]\n: c\n", "{\"license\": \"mit\"}", NULL},
    };
    struct error err = {0};
    char card[512];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *metadata, *expected = json_loads(cases[i].json, 0, NULL);
        char *notice;
        snprintf(card, sizeof card, "---\n%s---\n# Text\n", cases[i].yaml);
        write_text(*state, "README.md", card);
        assert_ok(card_metadata_read(&metadata, &notice, *state, &err), err);
        char *found = json_dumps(metadata, 0);
        assert_non_null(expected);
        if (!json_equal(metadata, expected))
            fail_msg("%s gives %s", cases[i].yaml, found);
        assert_int_equal(notice != NULL, cases[i].notice != NULL);
        if (notice != NULL)
            assert_string_equal(notice, cases[i].notice);
        free(found);
        free(notice);
        json_decref(metadata);
        json_decref(expected);
    }
}

static void endless_metadata_is_not_read(void **state)
{
    const size_t size = (size_t)2 << 20;
    struct error err = {0};
    char *card = malloc(size + 64), *notice;
    json_t *metadata;

    assert_non_null(card);
    strcpy(card, "---\nlicense: mit\n#");
    memset(card + strlen(card), 'x', size);
    strcpy(card + size, "\n---\n");
    write_text(*state, "README.md", card);
    assert_ok(card_metadata_read(&metadata, &notice, *state, &err), err);
    assert_int_equal(json_object_size(metadata), 0);
    assert_string_equal(notice, "longer than a mebibyte");
    json_decref(metadata);
    free(notice);
    free(card);
}

static void metadata_that_is_no_yaml_is_named(void **state)
{
    static const struct {
        const char *card;
        bool notice;
        const char *license; // NULL: none
    } cases[] = {{"---\nlicense: [mit\n---\n", true, NULL},
                 {"---\r\nlicense: mit\r\n---\r\n", false, "mit"},
                 {"\n \n---\nlicense: mit\n---\n", false, "mit"},
                 {"\xef\xbb\xbf---\nlicense: mit\n---", false, "mit"},
                 {"---\nlicense: mit\n", false, NULL}, // never ends
                 {"--- a rule\nlicense: mit\n---\n", false, NULL},
                 {"---\n- license\n---\n", false, NULL},
                 {"", false, NULL}};
    struct error err = {0};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *metadata;
        char *notice;
        write_text(*state, "README.md", cases[i].card);
        assert_ok(card_metadata_read(&metadata, &notice, *state, &err), err);
        assert_int_equal(notice != NULL, cases[i].notice);
        const char *license = json_string_value(json_object_get(metadata, "license"));
        assert_int_equal(license != NULL, cases[i].license != NULL);
        if (license != NULL)
            assert_string_equal(license, cases[i].license);
        free(notice);
        json_decref(metadata);
    }
}

static void nothing_is_left_out_for_want_of_memory(void **state)
{
    static const char *const cards[] = {
        "---\nlicense: mit\nlanguage: [en, de]\ntags: [a, {b: c}]\ndatasets:\n- d\n---\n",
        "---\nlicense: [mit\n---\n"};

    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++) {
        struct error err = {0};
        json_t *whole, *metadata;
        char *whole_notice, *notice;
        size_t failures = 0;

        write_text(*state, "README.md", cards[i]);
        assert_ok(card_metadata_read(&whole, &whole_notice, *state, &err), err);
        for (size_t n = 0;; n++) {
            plan.after = n;
            plan.failed = false;
            plan.active = true;
            const enum status status = card_metadata_read(&metadata, &notice, *state, &err);
            plan.active = false;
            if (status == STATUS_OK) {
                assert_true(json_equal(metadata, whole));
                assert_string_equal(notice, whole_notice);
            } else {
                assert_int_equal(status, STATUS_MEMORY);
                failures++;
            }
            json_decref(metadata);
            free(notice);
            if (!plan.failed)
                break;
        }
        assert_true(failures > 0);
        json_decref(whole);
        free(whole_notice);
    }
}

int main(void)
{
    json_set_alloc_funcs(malloc_of_jansson, free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_holds_of_a_pruned_model_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(odd_metadata_is_taken_as_yaml_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(endless_metadata_is_not_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metadata_that_is_no_yaml_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_left_out_for_want_of_memory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
