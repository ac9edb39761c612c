// corpus.h: the documents of each kind of file, and the complaint about every broken one.
#include "io/corpus/corpus.h"
#include "tests/support/corpus_files.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *write_gzip(const char *folder, const char *name, const char *text)
{
    unsigned char bytes[4096];
    return write_file(folder, name, bytes, gzip_text(bytes, sizeof bytes, text, strlen(text)));
}

// ---- valid files --------------------------------------------------------------------------------

static void test_a_text_file_is_one_document(void **state)
{
    DOCUMENTS(write_text(*state, "a.txt", "one\ntwo\n\n"), "one\ntwo\n\n");
    DOCUMENTS(write_text(*state, "no-ending", "one"), "one");
    DOCUMENTS(write_gzip(*state, "b.txt.gz", "one\ntwo"), "one\ntwo");
}

static void test_json_lines_give_their_text(void **state)
{
    const char *lines = "{\"text\": \"one\\nline \\u00e9 \\ud83d\\ude00\", \"url\": \"x\"}\n"
                        "\n"
                        " \t\r\n"
                        "{\"n\": 18446744073709551616, \"x\": [1.5, {\"text\": \"no\"}], \"text\": \"\"}\r\n"
                        "{\"text\": \"last, without newline\"}";
    const char *const names[] = {"a.jsonl", "a.json", "a.jsonl.gz", "c4-train.00000-of-01024.json.gz"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *path = strstr(names[i], ".gz") != NULL ? write_gzip(*state, names[i], lines)
                                                           : write_text(*state, names[i], lines);
        DOCUMENTS(path, "one\nline \xc3\xa9 \xf0\x9f\x98\x80", "", "last, without newline");
    }
}

static void test_a_text_may_contain_nul(void **state)
{
    struct error err = {0};
    struct corpus *corpus;

    assert_ok(corpus_load(&corpus, write_text(*state, "a.jsonl", "{\"text\":\"a\\u0000b\"}"), &err), err);
    assert_int_equal(corpus->offsets[1], 3);
    assert_memory_equal(corpus->text, "a\0b", 3);
    corpus_free(corpus);
}

// As `[line if line.strip() else "" for line in file]` in Python.
static void test_raw_lines_keep_their_newline_and_blank_ones_are_empty(void **state)
{
    DOCUMENTS(write_text(*state, "wiki.test.raw", " \n = Title = \n\n \t\xc2\xa0\xe2\x80\x83\n text . \n"),
              "", " = Title = \n", "", "", " text . \n");
    DOCUMENTS(write_text(*state, "no-ending.raw", "a\nb"), "a\n", "b");
    DOCUMENTS(write_gzip(*state, "a.raw.gz", "a\n\n"), "a\n", "");
}

static void test_gzip_members_follow_each_other(void **state)
{
    unsigned char bytes[4096] = {0};
    size_t size = gzip_text(bytes, sizeof bytes, "first ", 6);
    size += gzip_text(bytes + size, sizeof bytes - size, "", 0);
    size += gzip_text(bytes + size, sizeof bytes - size, "second", 6);
    DOCUMENTS(write_file(*state, "members.txt.gz", bytes, size), "first second");
    DOCUMENTS(write_file(*state, "padded.txt.gz", bytes, size + 512), "first second"); // zeros, as on a tape
}

// Lines of every length around the sizes of the buffers, in one file.
static void test_lines_longer_than_any_buffer_are_whole(void **state)
{
    enum { LINES = 25 };
    const size_t step = 55555; // the longest is 1.3 MB
    struct error err = {0};
    struct corpus *corpus;
    char *text = malloc(step * LINES * LINES / 2 + (step + 2) * LINES), *next = text;

    assert_non_null(text);
    for (size_t i = 0; i < LINES; i++) {
        memset(next, 'a' + (int)(i % 26), i * step + 1);
        next += i * step + 1;
        *next++ = '\n';
    }
    const size_t size = (size_t)(next - text);
    unsigned char *compressed = malloc(size / 100 + 4096);
    assert_non_null(compressed);
    const char *const paths[] = {
        write_file(*state, "long.raw", text, size),
        write_file(*state, "long.raw.gz", compressed, gzip_text(compressed, size / 100 + 4096, text, size)),
    };
    for (size_t p = 0; p < 2; p++) {
        assert_ok(corpus_load(&corpus, paths[p], &err), err);
        assert_int_equal(corpus->count, LINES);
        assert_memory_equal(corpus->text, text, size);
        for (size_t i = 0; i < LINES; i++)
            assert_int_equal(corpus->offsets[i + 1] - corpus->offsets[i], i * step + 2);
        corpus_free(corpus);
    }
    free(compressed);
    free(text);
}

// Values of XXH3_64bits in one call, for the bytes on disk.
static void test_hash_is_xxh3_of_the_bytes_on_disk(void **state)
{
    struct error err = {0};
    struct corpus *corpus;
    static const unsigned char gzip_abc[] = {0x1f, 0x8b, 0x08, 0,    0,    0,    0, 0,
                                             0,    0x03, 0x4b, 0x4c, 0x4a, 0x06, 0, 0xc2,
                                             0x41, 0x24, 0x35, 0x03, 0,    0,    0};

    assert_ok(corpus_load(&corpus, write_text(*state, "a.txt", "abc"), &err), err);
    assert_true(corpus->hash == UINT64_C(0x78af5f94892f3950));
    corpus_free(corpus);
    assert_ok(corpus_load(&corpus, write_file(*state, "a.txt.gz", gzip_abc, sizeof gzip_abc), &err), err);
    assert_int_equal(corpus->offsets[1], 3);
    assert_true(corpus->hash == UINT64_C(0x88f8e5b4fbe4d828));
    corpus_free(corpus);
    corpus_free(NULL);
}

// ---- broken files -------------------------------------------------------------------------------

static void test_empty_corpora_are_refused(void **state)
{
    assert_refused(write_text(*state, "a.txt", ""), "the corpus is empty");
    assert_refused(write_text(*state, "a.raw", ""), "the corpus is empty: no documents");
    assert_refused(write_text(*state, "b.raw", " \n\n"), "the corpus is empty: no document has any text");
    assert_refused(write_text(*state, "a.jsonl", "\n \n"), "the corpus is empty: no documents");
    assert_refused(write_text(*state, "b.jsonl", "{\"text\":\"\"}\n"), "the corpus is empty");
    assert_refused(write_gzip(*state, "a.txt.gz", ""), "the corpus is empty");
}

static void test_broken_lines_are_named(void **state)
{
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"{\"text\":\"a\"}\n{\"text\":\"b\"\n", "a.jsonl:2: not valid JSON"},
        {"{\"text\":\"a\"}\n\n{\"text\":\"b\"} x\n", "a.jsonl:3: not valid JSON: end of file expected"},
        {"{\"text\":\"a\"}\nplain\n", "a.jsonl:2: not valid JSON"},
        {"{\n  \"text\": \"a\"\n}\n", "a.jsonl:1: not valid JSON"},
        {"{\"text\":\"a\"}\n[\"a\"]", "a.jsonl:2: not a JSON object"},
        {"{\"text\":\"a\"}\n{\"Text\":\"b\"}", "a.jsonl:2: the object has no string \"text\""},
        {"{\"text\":7}", "a.jsonl:1: \"text\" is a number, not a string"},
        {"{\"text\":null}", "a.jsonl:1: \"text\" is null, not a string"},
        {"{\"text\":[]}", "a.jsonl:1: \"text\" is an array, not a string"},
        {"{\"text\":{}}", "a.jsonl:1: \"text\" is an object, not a string"},
        {"{\"text\":false}", "a.jsonl:1: \"text\" is true or false, not a string"},
        {"{\"text\":\"a\",\"text\":\"b\"}", "a.jsonl:1: a key stands twice in one object, near"},
        {"{\"text\":\"\\ud83d\"}", "a.jsonl:1: a text with one half of a surrogate pair"},
        {"{\"text\":\"a\"}\n{\"text\":\"\xff\"}", "a.jsonl:2: not valid UTF-8 at byte 10 of the line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refused(write_text(*state, "a.jsonl", cases[i].text), cases[i].complaint);
}

static void test_broken_utf8_is_named_by_line_and_byte(void **state)
{
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"\x80", ":1: not valid UTF-8 at byte 1 of the line"},                // a continuation alone
        {"ok\n0123456789\xc3", ":2: not valid UTF-8 at byte 11 of the line"}, // cut off at the end
        {"0123456789\xc3(", ":1: not valid UTF-8 at byte 11 of the line"},    // no continuation
        {"\xc0\xaf", ":1: not valid UTF-8 at byte 1 of the line"},            // overlong
        {"\xed\xa0\x80", ":1: not valid UTF-8 at byte 1 of the line"},        // a surrogate
        {"\xf4\x90\x80\x80", ":1: not valid UTF-8 at byte 1 of the line"},    // beyond U+10FFFF
        {"\xf0\x9f\x98\x80\n\n\xf0\x9f\x98", ":3: not valid UTF-8 at byte 1 of the line"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_refused(write_text(*state, "a.txt", cases[i].text), cases[i].complaint);
        assert_refused(write_text(*state, "a.raw", cases[i].text), cases[i].complaint);
    }
}

static void test_every_truncated_gzip_is_refused(void **state)
{
    unsigned char bytes[4096];
    const char *text = "{\"text\":\"some text, some more text, and some text again\"}\n";
    const size_t size = gzip_text(bytes, sizeof bytes, text, strlen(text));

    for (size_t prefix = 0; prefix < size; prefix++)
        assert_refused(write_file(*state, "cut.jsonl.gz", bytes, prefix), "gzip stream is cut off");
    // A second member that is cut off.
    memcpy(bytes + size, bytes, size);
    for (size_t prefix = 1; prefix < size; prefix++)
        assert_refused(write_file(*state, "cut.jsonl.gz", bytes, size + prefix), "gzip stream is cut off");
}

static void test_a_flipped_bit_of_a_gzip_body_never_changes_the_text(void **state)
{
    unsigned char bytes[4096];
    const char *text = "some text, some more text, and some text again";
    const size_t size = gzip_text(bytes, sizeof bytes, text, strlen(text));
    size_t unnoticed = 0;

    for (size_t bit = 10 * 8; bit < size * 8;
         bit++) { // the header's time and system fields are not protected
        struct error err = {0};
        struct corpus *corpus;
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        const char *path = write_file(*state, "bad.txt.gz", bytes, size);
        if (corpus_load(&corpus, path, &err) == STATUS_OK) {
            unnoticed++;
            assert_int_equal(corpus->offsets[1], strlen(text));
            assert_memory_equal(corpus->text, text, strlen(text));
            corpus_free(corpus);
        } else {
            assert_error(err, STATUS_INPUT, path);
            assert_error(err, STATUS_INPUT, "gzip stream");
        }
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    assert_true(unnoticed < 8); // bits that fill up the last byte of the compressed data
}

static void test_other_bytes_in_place_of_gzip_are_refused(void **state)
{
    unsigned char bytes[4096] = {0};
    size_t size = gzip_text(bytes, sizeof bytes, "text", 4);

    DOCUMENTS(write_text(*state, "plain.txt.gz", "plain text"), "plain text"); // what it is counts
    memcpy(bytes + size, "junk", 4);
    assert_refused(write_file(*state, "junk.txt.gz", bytes, size + 4), "damaged gzip stream");
    memcpy(bytes + size, "\0\0\0x", 4);
    assert_refused(write_file(*state, "junk.txt.gz", bytes, size + 4), "something else follows");
}

static void test_what_cannot_be_opened_is_bad_input(void **state)
{
    assert_refused(path_in(*state, "absent.txt"), "No such file or directory");
    assert_refused("/dev/null", "not a regular file");
}

static void test_another_field_can_be_the_document(void **state)
{
    const char *path =
        write_text(*state, "c.jsonl", "{\"text\": 1, \"content\": \"one\"}\n{\"content\": \"two\"}\n");
    const struct document_field content = {"content", NULL}, body = {"body", "some.key"}, text = {0};
    struct corpus *corpus;
    struct error err = {0};

    assert_ok(corpus_load_field(&corpus, path, &content, UINT64_MAX, &err), err);
    assert_int_equal(corpus->count, 2);
    assert_memory_equal(corpus->text, "onetwo", 6);
    corpus_free(corpus);
    assert_int_equal(corpus_load_field(&corpus, path, &body, UINT64_MAX, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT,
                 "c.jsonl:1: the object has no string \"body\"; it has \"text\", "
                 "\"content\": some.key says which is the text");
    assert_int_equal(corpus_load_field(&corpus, path, &text, UINT64_MAX, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "c.jsonl:1: \"text\" is a number, not a string");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_another_field_can_be_the_document, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_a_text_file_is_one_document, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_json_lines_give_their_text, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_a_text_may_contain_nul, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_raw_lines_keep_their_newline_and_blank_ones_are_empty,
                                        temporary_folder_set_up, temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_gzip_members_follow_each_other, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_lines_longer_than_any_buffer_are_whole, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_hash_is_xxh3_of_the_bytes_on_disk, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_empty_corpora_are_refused, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_broken_lines_are_named, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_broken_utf8_is_named_by_line_and_byte, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_every_truncated_gzip_is_refused, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_a_flipped_bit_of_a_gzip_body_never_changes_the_text,
                                        temporary_folder_set_up, temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_other_bytes_in_place_of_gzip_are_refused,
                                        temporary_folder_set_up, temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_opened_is_bad_input, temporary_folder_set_up,
                                        temporary_folder_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
