// Metadata in front of README.md: what is kept, and what is no metadata.
#include "io/model/card_metadata.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

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
    assert_null(notice);
    assert_true(json_equal(metadata, expected));
    json_decref(metadata);
    json_decref(expected);
}

static void metadata_that_is_no_yaml_is_named(void **state)
{
    static const struct {
        const char *card;
        bool notice;
        const char *license; // NULL: none
    } cases[] = {{"---\nlicense: [mit\n---\n", true, NULL},
                 {"---\r\nlicense: mit\r\n---\r\n", false, "mit"},
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_holds_of_a_pruned_model_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(metadata_that_is_no_yaml_is_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
