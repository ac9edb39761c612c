// corpus.h, text_kind.h: the same documents from every kind of file that people have, whatever its name; what
// is damaged, cut off or no text at all; and what is told of a file that is not what its name says.
#include "io/corpus/corpus.h"
#include "io/corpus/text_kind.h"
#include "io/file/text/stream.h"
#include "tests/support/corpus_files.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

// A frame with a checksum, as the program zstd writes it.
static size_t zstd_text(void *out, size_t capacity, const void *text, size_t size)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)));
    const size_t written = ZSTD_compress2(context, out, capacity, text, size);
    assert_false(ZSTD_isError(written));
    ZSTD_freeCCtx(context);
    return written;
}

static void assert_notice(const char *path, const char *notice)
{
    struct text_kind kind;
    struct error err = {0};
    char found[TEXT_NOTICE_SIZE];

    assert_ok(text_kind_find(&kind, path, &err), err);
    text_kind_notice(found, &kind, path);
    assert_string_equal(found, notice);
}

static const char lines[] = "{\"text\": \"one\\n[{\\\"x\\\": 1}]\", \"n\": [1, {\"text\": \"no\"}]}\n"
                            "\n{\"url\": \"}\\\\\", \"text\": \"two \\u00e9\"}\n";
static const char array[] = "[{\"text\": \"one\\n[{\\\"x\\\": 1}]\", \"n\": [1, {\"text\": \"no\"}]},\n"
                            " {\"url\": \"}\\\\\",\n  \"text\": \"two \\u00e9\"}]\n";
#define BOTH "one\n[{\"x\": 1}]", "two \xc3\xa9"

// ---- what is read ---------------------------------------------------------------------------------------

static void test_json_is_read_as_such_under_any_name(void **state)
{
    static const char *const names[] = {"a.jsonl", "a.JSONL", "a.ndjson", "a.jl",  "a.json",
                                        "a.Json",  "a",       "a.txt",    "a.raw", "a.json.gz"};
    unsigned char packed[1024];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        DOCUMENTS(write_text(*state, names[i], lines), BOTH);
        DOCUMENTS(write_text(*state, names[i], array), BOTH);
        DOCUMENTS(
            write_file(*state, names[i], packed, gzip_text(packed, sizeof packed, lines, strlen(lines))),
            BOTH);
        DOCUMENTS(
            write_file(*state, names[i], packed, zstd_text(packed, sizeof packed, array, strlen(array))),
            BOTH);
    }
}

static void test_objects_may_go_over_lines(void **state)
{
    DOCUMENTS(write_text(*state, "one.json", "{\n  \"text\": \"a\"\n}\n"), "a");
    DOCUMENTS(write_text(*state, "two.json", "{\n \"text\": \"a\"}\n{ \"text\":\n\"b\" } {\"text\": \"c\"}"),
              "a", "b", "c");
    DOCUMENTS(write_text(*state, "spaces.json", " \n[ \n{ \"text\" : \"a\" } , \n {\"text\": \"b\"}\n ] \n"),
              "a", "b");
    assert_refused(write_text(*state, "lines.jsonl", "{\n  \"text\": \"a\"\n}\n"),
                   "lines.jsonl:1: not valid JSON");
}

// What is in strings does not count: quotes behind backslashes, brackets that nothing closes.
static void test_strings_of_an_array_may_hold_anything(void **state)
{
    DOCUMENTS(write_text(*state, "a.json",
                         "[{\"text\": \"a \\\"} b\"}, {\"text\": \"[{{\\\\\"}, {\"text\": \"c\"}]"),
              "a \"} b", "[{{\\", "c");
}

// A first line that is longer than what the kind is judged by.
static void test_a_long_first_line_is_json_as_far_as_it_goes(void **state)
{
    const size_t size = 700000;
    char *text = malloc(size + 64);
    struct error err = {0};
    struct corpus *corpus;

    assert_non_null(text);
    for (int is_array = 0; is_array < 2; is_array++) {
        size_t used = (size_t)sprintf(text, "%s{\"text\": \"", is_array ? "[" : "");
        memset(text + used, 'a', size);
        strcpy(text + used + size, is_array ? "\"}]\n" : "\"}\n");
        assert_ok(corpus_load(&corpus, write_text(*state, "a.txt", text), &err), err);
        assert_int_equal(corpus->count, 1);
        assert_int_equal(corpus->offsets[1], size);
        corpus_free(corpus);
    }
    free(text);
}

static void test_text_that_only_begins_like_json_is_text(void **state)
{
    static const char *const texts[] = {"[Music]\nla la",
                                        "{ x -> y }\n",
                                        "[{verse}] la",
                                        "{\"title\": the rest",
                                        "[1, 2]\n",
                                        "[]\n",
                                        "{\n  \"text\": \"a program's\"\n}\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        DOCUMENTS(write_text(*state, "a.txt", texts[i]), texts[i]);
    DOCUMENTS(write_text(*state, "a.RAW", "one\n\ntwo"), "one\n", "", "two");
}

static void test_a_mark_is_left_out_and_returns_are_newlines(void **state)
{
    DOCUMENTS(write_text(*state, "a.txt", "\xef\xbb\xbfone\r\ntwo\rthree\r\n\r\n"), "one\ntwo\nthree\n\n");
    DOCUMENTS(write_text(*state, "a.raw", "\xef\xbb\xbfone\r\n\r\ntwo"), "one\n", "", "two");
    DOCUMENTS(write_text(*state, "a.jsonl", "\xef\xbb\xbf{\"text\": \"a\\r\\n\"}\r\n{\"text\": \"b\"}\r\n"),
              "a\r\n", "b");
    DOCUMENTS(write_text(*state, "b.txt", "\r"), "\n");
    assert_refused(write_text(*state, "b.txt", "\xef\xbb\xbf"), "the corpus is empty");
}

// "\r\n" at every place around the end of a buffer, and one that a compressed text's buffers part.
static void test_returns_at_the_end_of_a_buffer(void **state)
{
    enum { BUFFER = 1 << 18 };
    struct error err = {0};
    struct corpus *corpus;
    char *text = malloc(BUFFER + 16);

    assert_non_null(text);
    for (size_t at = BUFFER - 3; at <= BUFFER + 1; at++) {
        memset(text, 'a', BUFFER + 16);
        text[at] = '\r';
        text[at + 1] = '\n';
        assert_ok(corpus_load(&corpus, write_file(*state, "a.txt", text, BUFFER + 16), &err), err);
        assert_int_equal(corpus->offsets[1], BUFFER + 15);
        assert_int_equal(corpus->text[at], '\n');
        assert_int_equal(corpus->text[at + 1], 'a');
        corpus_free(corpus);
        // The newline alone after the buffer, and nothing behind.
        assert_ok(corpus_load(&corpus, write_file(*state, "a.txt", text, at + 2), &err), err);
        assert_int_equal(corpus->offsets[1], at + 1);
        corpus_free(corpus);
    }
    free(text);
}

static void test_notices_say_what_is_read_otherwise(void **state)
{
    unsigned char packed[1024];
    const size_t size = gzip_text(packed, sizeof packed, lines, strlen(lines));

    assert_notice(write_text(*state, "a.ndjson", lines), "");
    assert_notice(write_text(*state, "a.txt", "plain"), "");
    assert_notice(write_file(*state, "a.jsonl.gz", packed, size), "");
    assert_notice(write_text(*state, "b.txt", lines), "holds JSON objects, and is read as JSON");
    assert_notice(
        write_file(*state, "b.zst", packed, size),
        "is compressed with gzip, though its name does not say so; holds JSON objects, and is read as JSON");
    assert_notice(write_text(*state, "b.jsonl.gz", lines), "is not compressed, though its name says it is");
    assert_notice(
        write_text(*state, "c.txt", "\xef\xbb\xbfone\r\n"),
        "begins with a byte order mark, which is left out; has carriage returns at the ends of lines, which "
        "are read as newlines");
    assert_notice(write_text(*state, "d.jsonl", "{\"text\": \"a\"}\r\n"), "");
}

static const char *change(const char *path)
{
    struct text_kind kind;
    struct error err = {0};
    assert_ok(text_kind_find(&kind, path, &err), err);
    return text_kind_change(&kind, path);
}

static void test_what_an_earlier_version_read_otherwise_is_known(void **state)
{
    assert_string_equal(change(write_text(*state, "a.jsonl", lines)), "");
    assert_string_equal(change(write_text(*state, "a.txt", "one")), "");
    assert_string_equal(change(write_text(*state, "a.raw", "one\n")), "");
    assert_string_equal(change(write_text(*state, "a.ndjson", lines)), "as JSON");
    assert_string_equal(change(write_text(*state, "a.JSONL", lines)), "as JSON");
    assert_string_equal(change(write_text(*state, "a.RAW", "one\n")), "a line at a time");
    assert_string_equal(change(write_text(*state, "b.txt", "one\r\n")), "without carriage returns");
    assert_string_equal(change(write_text(*state, "b.txt", "\xef\xbb\xbfone\n")),
                        "without its byte order mark");
    assert_string_equal(change(write_text(*state, "b.jsonl", "{\"text\": \"a\"}\r\n")), "");
}

// ---- several files --------------------------------------------------------------------------------------

static void test_a_folder_is_its_texts_in_order(void **state)
{
    unsigned char packed[1024];
    char *folder = *state, pattern[512];
    struct error err = {0};
    struct corpus *corpus;
    uint64_t hashes[2];

    write_text(folder, "b-2.txt", "two");
    write_text(folder, "b-10.txt", "ten");
    write_file(folder, "c.jsonl.zst", packed, zstd_text(packed, sizeof packed, lines, strlen(lines)));
    write_text(folder, "README.md", "none of it");
    write_text(folder, ".hidden.txt", "none of it");
    assert_int_equal(mkdir(path_in(folder, "inner.d"), 0777), 0);
    DOCUMENTS(folder, "ten", "two", BOTH); // in the order of bytes, as ls has them
    snprintf(pattern, sizeof pattern, "%s/b-*", folder);
    DOCUMENTS(pattern, "ten", "two");

    assert_ok(corpus_load(&corpus, pattern, &err), err);
    hashes[0] = XXH3_64bits("ten", 3);
    hashes[1] = XXH3_64bits("two", 3);
    assert_true(corpus->hash == XXH3_64bits(hashes, sizeof hashes));
    corpus_free(corpus);

    // Only as many files as have enough bytes.
    for (uint64_t enough = 1; enough <= 4; enough++) {
        assert_ok(corpus_load_field(&corpus, pattern, &(struct document_field){0}, enough, &err), err);
        assert_int_equal(corpus->count, enough <= 3 ? 1 : 2);
        corpus_free(corpus);
    }
    // A file whose name has such characters is itself.
    DOCUMENTS(write_text(folder, "b-[x]*", "a star"), "a star");
    DOCUMENTS(write_text(folder, "prose.txt", "PAR1 begins a Parquet file, PAR1"),
              "PAR1 begins a Parquet file, PAR1");
}

static void test_what_is_no_set_of_texts_is_named(void **state)
{
    char *folder = *state;
    char pattern[512];

    assert_refused(folder, "no texts in this folder");
    snprintf(pattern, sizeof pattern, "%s/none-*.txt", folder);
    assert_refused(pattern, "no file of such a name");
    write_text(folder, "train.parquet", "PAR1....PAR1");
    assert_refused(folder, "a folder of Parquet files: convert it to JSON lines: python3 -c");
    write_text(folder, "more.json.gz", "{\"text\": \"a\"}"); // would be read, and the other not
    assert_refused(folder,
                   "a folder of texts and of Parquet files, such as train.parquet, which would be left out");
    assert_refused(folder,
                   "/*.json.gz', or convert the others and name the file that comes of it: python3 -c");
    snprintf(pattern, sizeof pattern, "%s/train.parquet", folder);
    assert_int_equal(unlink(pattern), 0);
    snprintf(pattern, sizeof pattern, "%s/more.json.gz", folder);
    assert_int_equal(unlink(pattern), 0);
    write_text(folder, "a.txt", "fine");
    write_text(folder, "b.jsonl", "{\"text\": 1}");
    struct error err = {0};
    struct corpus *corpus;
    assert_int_equal(corpus_load(&corpus, folder, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "b.jsonl:1: \"text\" is a number, not a string");
}

// The share of what was read, and documents numbered over the files.
static void test_the_beginning_of_several_files(void **state)
{
    struct error err = {0};
    struct corpus *corpus;
    double share;

    write_text(*state, "a.txt", "0123456789");
    write_text(*state, "b.txt", "0123456789");
    write_text(*state, "c.txt", "0123456789");
    assert_ok(corpus_load_beginning(&corpus, &share, *state, &(struct document_field){0}, 11, &err), err);
    assert_int_equal(corpus->count, 2);
    assert_true(share > 0.66 && share < 0.67);
    assert_true(corpus->hash == 0);
    corpus_free(corpus);
    assert_ok(corpus_load_beginning(&corpus, &share, *state, &(struct document_field){0}, 1000, &err), err);
    assert_int_equal(corpus->count, 3);
    assert_true(share == 1);
    corpus_free(corpus);
}

// ---- what is refused ------------------------------------------------------------------------------------

static void test_what_is_no_text_is_named(void **state)
{
    unsigned char packed[2048], twice[2048];
    char tar[1024] = {0}, run_file[1024] = "coppice-store\r\n\x1a";
    static const struct {
        const char *name, *bytes;
        size_t size;
        const char *complaint;
    } cases[] = {
        {"a.parquet", "PAR1\x15\x04", 6,
         "a Parquet file: convert it to JSON lines: python3 -c \"import sys; from datasets"},
        {"a.jsonl", "PAR1\x15\x04", 6, "a Parquet file"},
        {"a.txt", "ARROW1\0\0", 8, "an Arrow file"},
        {"a.txt", "\x89HDF\r\n\x1a\n", 8, "an HDF5 file, where a text is expected: token ids"},
        {"a.txt", "PK\x03\x04", 4, "a ZIP archive"},
        {"a.txt", "BZh91AY&SY", 10, "compressed with bzip2"},
        {"a.txt",
         "\xfd"
         "7zXZ\0",
         6, "compressed with xz"},
        {"a.txt", "\x04\x22\x4d\x18", 4, "compressed with lz4"},
        {"a.txt", "%PDF-1.4", 8, "a PDF"},
        {"a.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:0", 55, "a pointer of Git LFS"},
        {"a.txt", "\xff\xfeh\0i\0", 6, "looks like UTF-16"},
        {"a.txt", "\xfe\xff\0h\0i", 6, "looks like UTF-16"},
        {"a.txt", "h\0i\0!\0\n\0", 8, "looks like UTF-16"},
        {"a.txt", "<!DOCTYPE HTML><title>404</title>", 33, "begins as an HTML page"},
        {"a.jsonl", "\n <html><body>Not found", 23, "begins as an HTML page"},
        {"a.txt", "<!-- moved -->\n<!doctype html><html>", 37, "begins as an HTML page"},
        {"a.jsonl.gz", "<?xml version='1.0'?><Error/>", 29, "begins as XML"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(write_file(*state, cases[i].name, cases[i].bytes, cases[i].size), cases[i].complaint);
    memcpy(tar, "a.txt", 5);
    memcpy(tar + 100, "0000644", 7);
    memset(tar + 101, '0', 150);
    memcpy(tar + 257, "ustar", 5);
    assert_refused(write_file(*state, "a.tar", tar, sizeof tar), "a tar archive");
    memcpy(run_file + 512, "\x89HDF\r\n\x1a\n", 8);
    assert_refused(write_file(*state, "a.h5", run_file, sizeof run_file), "an HDF5 file, where a text");
    // A page that is meant, by its name.
    DOCUMENTS(write_text(*state, "page.html", "<html>fine</html>"), "<html>fine</html>");
    const size_t size = gzip_text(packed, sizeof packed, "<html>fine", 10);
    DOCUMENTS(write_file(*state, "page.HTM.gz", packed, size), "<html>fine");
    assert_refused(write_file(*state, "a.txt.gz", packed, size), "begins as an HTML page");
    assert_refused(write_file(*state, "a.txt.gz", twice, gzip_text(twice, sizeof twice, packed, size)),
                   "compressed more than once");
}

static void test_broken_arrays_are_named(void **state)
{
    static const struct {
        const char *text, *complaint;
    } cases[] = {
        {"[{\"text\": \"a\"},\n", ":2: not valid JSON: the file ends inside the array"},
        {"[{\"text\": \"a\"}\n", ":2: not valid JSON: the file ends inside the array"},
        {"[{\"text\": \"a\"},\n{\"text\": \"b",
         ":2: not valid JSON: the file ends inside the object that begins here"},
        {"[{\"text\": \"a\"}\n {\"text\": \"b\"}]",
         ":2: not valid JSON: expected a comma, or the end of the array, found '{'"},
        {"[{\"text\": \"a\"},\n]", ":2: not valid JSON: expected an object, found ']'"},
        {"[{\"text\": \"a\"},\n 7]", ":2: not valid JSON: expected an object, found '7'"},
        {"[{\"text\": \"a\"}]\n\n{}", ":3: not valid JSON: expected nothing after the array, found '{'"},
        {"[{\"text\": \"a\"},\n{\"text\":\n\"b\" \"c\"}]", ":3: not valid JSON"},
        {"[{\"text\": \"a\"},\n{\"text\": \"\xff\"}]", ":2: not valid UTF-8"},
        {"[{\"text\": \"a\"},\n{\"text\": 1}]", ":2: \"text\" is a number, not a string"},
        {"[]", "the corpus is empty: no documents"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(write_text(*state, "a.json", cases[i].text), cases[i].complaint);
}

// Every beginning of an array is refused: at the latest the bracket is missing.
static void test_every_truncated_array_is_refused(void **state)
{
    const size_t size = strlen(array) - 1; // without the newline after the bracket
    for (size_t prefix = 0; prefix < size; prefix++)
        assert_refused(write_file(*state, "cut.json", array, prefix), "cut.json");
}

static void test_every_truncated_zstd_is_refused(void **state)
{
    unsigned char bytes[1024];
    const size_t size = zstd_text(bytes, sizeof bytes, lines, strlen(lines));

    for (size_t prefix = 0; prefix < size; prefix++)
        assert_refused(write_file(*state, "cut.jsonl.zst", bytes, prefix), "zstd stream is cut off");
    memcpy(bytes + size, bytes, size); // a second frame
    for (size_t prefix = 1; prefix < size; prefix++)
        assert_refused(write_file(*state, "cut.jsonl.zst", bytes, size + prefix), "zstd stream is cut off");
    struct error err = {0};
    struct corpus *corpus;
    assert_ok(corpus_load(&corpus, write_file(*state, "two.jsonl.zst", bytes, 2 * size), &err), err);
    assert_int_equal(corpus->count, 4);
    corpus_free(corpus);
    // A frame to be skipped, with four bytes, as parallel compressors write it.
    static const unsigned char skipped[12] = {0x5a, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 'a', 'b', 'c', 'd'};
    unsigned char behind[1024];
    memcpy(behind, skipped, sizeof skipped);
    memcpy(behind + sizeof skipped, bytes, size);
    DOCUMENTS(write_file(*state, "skipped.jsonl", behind, sizeof skipped + size), BOTH);
    memset(bytes + size, 'x', 8);
    assert_refused(write_file(*state, "junk.jsonl.zst", bytes, size + 8), "damaged zstd stream");
}

static void test_a_flipped_bit_of_zstd_never_changes_the_text(void **state)
{
    unsigned char bytes[1024];
    const char *text = "some text, some more text, and some text again";
    const size_t size = zstd_text(bytes, sizeof bytes, text, strlen(text));

    for (size_t bit = 4 * 8; bit < size * 8; bit++) { // behind the magic bytes
        struct error err = {0};
        struct corpus *corpus;
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        if (corpus_load(&corpus, write_file(*state, "bad.txt.zst", bytes, size), &err) == STATUS_OK) {
            assert_int_equal(corpus->offsets[1], strlen(text));
            assert_memory_equal(corpus->text, text, strlen(text));
            corpus_free(corpus);
        } else {
            assert_error(err, STATUS_INPUT, "zstd stream");
        }
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
}

// 400 MB of one letter in 400 kB of gzip, and in some kB of zstd.
static void test_a_bomb_is_refused_before_it_fills_the_memory(void **state)
{
    enum { PIECE = 1 << 20, PIECES = 400 };
    char *piece = malloc(PIECE), *out = malloc(PIECE);
    z_stream zlib = {0};

    assert_true(piece != NULL && out != NULL);
    memset(piece, 'a', PIECE);
    assert_int_equal(deflateInit2(&zlib, 1, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    FILE *file = fopen(path_in(*state, "bomb.txt.gz"), "wb");
    assert_non_null(file);
    for (int i = 0; i < PIECES; i++) {
        zlib.next_in = (Bytef *)piece;
        zlib.avail_in = PIECE;
        zlib.next_out = (Bytef *)out;
        zlib.avail_out = PIECE;
        deflate(&zlib, i + 1 < PIECES ? Z_NO_FLUSH : Z_FINISH);
        assert_int_equal(fwrite(out, 1, PIECE - zlib.avail_out, file), PIECE - zlib.avail_out);
    }
    fclose(file);
    deflateEnd(&zlib);
    assert_refused(path_in(*state, "bomb.txt.gz"), "unpacks to more than 200 times its size");

    ZSTD_CCtx *context = ZSTD_createCCtx();
    file = fopen(path_in(*state, "bomb.txt.zst"), "wb");
    assert_non_null(file);
    for (int i = 0; i < PIECES; i++) { // a frame each
        const size_t size = ZSTD_compress2(context, out, PIECE, piece, PIECE);
        assert_false(ZSTD_isError(size));
        assert_int_equal(fwrite(out, 1, size, file), size);
    }
    fclose(file);
    ZSTD_freeCCtx(context);
    assert_refused(path_in(*state, "bomb.txt.zst"), "unpacks to more than 200 times its size");
    free(piece);
    free(out);
}

static void test_fields_that_hold_no_text_are_named(void **state)
{
    assert_refused(
        write_text(*state, "a.jsonl", "{\"text\": [{\"role\": \"user\", \"content\": \"hello\"}]}\n"),
        "a.jsonl:1: \"text\" is a list of messages, not a text");
    assert_refused(write_text(*state, "a.jsonl", "{\"content\": \"a\", \"url\": \"b\"}\n"),
                   "a.jsonl:1: the object has no string \"text\"; it has \"content\", \"url\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_json_is_read_as_such_under_any_name, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_objects_may_go_over_lines, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_strings_of_an_array_may_hold_anything, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_a_long_first_line_is_json_as_far_as_it_goes,
                                        temporary_folder_set_up, temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_text_that_only_begins_like_json_is_text, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_a_mark_is_left_out_and_returns_are_newlines,
                                        temporary_folder_set_up, temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_returns_at_the_end_of_a_buffer, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_notices_say_what_is_read_otherwise, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_what_an_earlier_version_read_otherwise_is_known,
                                        temporary_folder_set_up, temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_is_its_texts_in_order, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_set_of_texts_is_named, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_the_beginning_of_several_files, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_no_text_is_named, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_broken_arrays_are_named, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_every_truncated_array_is_refused, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_every_truncated_zstd_is_refused, temporary_folder_set_up,
                                        temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_a_flipped_bit_of_zstd_never_changes_the_text,
                                        temporary_folder_set_up, temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_a_bomb_is_refused_before_it_fills_the_memory,
                                        temporary_folder_set_up, temporary_folder_tear_down),
        cmocka_unit_test_setup_teardown(test_fields_that_hold_no_text_are_named, temporary_folder_set_up,
                                        temporary_folder_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
