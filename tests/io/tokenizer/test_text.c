// The parts of a tokenizer that look at text alone: splitting, normal forms, classes of characters,
// expressions. The expected values are those of the Unicode standard, of the documentation of `tokenizers`,
// and of utf8proc as a whole.
#include "io/tokenizer/steps/bert.h"
#include "io/tokenizer/steps/expression.h"
#include "io/tokenizer/steps/pattern.h"
#include "io/tokenizer/steps/precompiled.h"
#include "io/tokenizer/steps/split.h"
#include "io/tokenizer/unicode.h"
#include "io/tokenizer/unicode_data.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include <cmocka.h>

// ---- splitting -------------------------------------------------------------------------------------------

// The pieces of text, cut at every match of regex, with | between.
static void check_split(const char *text, const char *regex, enum split_behavior behavior, bool invert,
                        const char *expected)
{
    const struct slice slice = {text, strlen(text)};
    struct pieces pieces = {0};
    struct splitter splitter = {.behavior = behavior, .invert = invert, .pieces = &pieces};
    struct pattern *pattern = NULL;
    struct pattern_search search;
    struct error err = {0};
    bool found = true;
    size_t start = 0;
    size_t end = 0;
    size_t previous = 0;
    char shown[256] = "";

    assert_ok(pattern_from_regex(&pattern, (struct slice){regex, strlen(regex)}, &err), err);
    assert_ok(pattern_begin(pattern, slice, &search, &err), err);
    for (;;) {
        assert_ok(pattern_next(pattern, &search, &found, &start, &end, &err), err);
        if (!found)
            break;
        if (previous != start)
            assert_ok(splitter_add(&splitter, previous, start, false, &err), err);
        assert_ok(splitter_add(&splitter, start, end, true, &err), err);
        previous = end;
    }
    if (previous != slice.size)
        assert_ok(splitter_add(&splitter, previous, slice.size, false, &err), err);
    assert_ok(splitter_end(&splitter, &err), err);
    for (size_t i = 0; i < pieces.count; i++)
        snprintf(shown + strlen(shown), sizeof shown - strlen(shown), "%s%.*s", i > 0 ? "|" : "",
                 (int)pieces.items[i].size, text + pieces.items[i].start);
    assert_string_equal(shown, expected);
    pieces_free(&pieces);
    pattern_free(pattern);
}

static void splits_as_the_documentation_says(void **state)
{
    static const char text[] = "the-final--countdown";

    (void)state;
    check_split(text, "-", SPLIT_REMOVED, false, "the|final|countdown");
    check_split(text, "-", SPLIT_ISOLATED, false, "the|-|final|-|-|countdown");
    check_split(text, "-", SPLIT_MERGED_WITH_PREVIOUS, false, "the-|final-|-|countdown");
    check_split(text, "-", SPLIT_MERGED_WITH_NEXT, false, "the|-final|-|-countdown");
    check_split(text, "-", SPLIT_CONTIGUOUS, false, "the|-|final|--|countdown");
    check_split(text, "[a-z]+", SPLIT_REMOVED, true, "the|final|countdown");
    check_split("--a", "-", SPLIT_MERGED_WITH_PREVIOUS, false, "-|-|a");
    check_split("a--", "-", SPLIT_MERGED_WITH_NEXT, false, "a|-|-");
    check_split("ab-", "[a-z]", SPLIT_MERGED_WITH_NEXT, true, "a|b|-");
    check_split("ab-", "[a-z]", SPLIT_MERGED_WITH_PREVIOUS, true, "a|b-");
    check_split("abc", "x*", SPLIT_ISOLATED, false, "a|b|c"); // empty matches cut as well
    check_split("axxb", "x*", SPLIT_ISOLATED, false, "a|xx|b");
    check_split("", "x", SPLIT_ISOLATED, false, "");
}

// ---- expressions -----------------------------------------------------------------------------------------

static void expressions_match_as_oniguruma_does(void **state)
{
    (void)state;
    check_split("a\nb", "^b|a$", SPLIT_ISOLATED, false, "a|\n|b");                // ^ and $ know lines
    check_split("fg0", "\\h", SPLIT_ISOLATED, false, "f|g|0");                    // a hexadecimal digit
    check_split("a_\xcc\x81-b", "\\w+", SPLIT_ISOLATED, false, "a_\xcc\x81|-|b"); // marks belong to words
    check_split("a\xc2\xb2", "[\\w]", SPLIT_ISOLATED, false, "a|\xc2\xb2");       // digits above do not
    check_split("aaa", "a{,2}", SPLIT_ISOLATED, false, "aa|a");                   // from none to two
    check_split("a{,x", "a{,x", SPLIT_ISOLATED, false, "a{,x");                   // no repeat
    check_split("\xe2\x80\x94x", "\\u2014", SPLIT_ISOLATED, false, "\xe2\x80\x94|x");
    check_split("THE\xe2\x84\xaa", "(?i:the|k)", SPLIT_ISOLATED, false,
                "THE|\xe2\x84\xaa"); // the Kelvin sign
    check_split("\xe3\x80\x81\xe6\x97\xa5", "\\p{Han}", SPLIT_REMOVED, false,
                "\xe3\x80\x81");                                                      // no Script_Extensions
    check_split("x\xe1\xa0\x8ey z", "\\s", SPLIT_REMOVED, false, "x\xe1\xa0\x8ey|z"); // U+180E is no space
    check_split("x\xf0\x90\xb5\x80", "\\p{Nd}", SPLIT_REMOVED, false,
                "x"); // U+10D40, a digit since Unicode 16
    check_split("aXbY", "\\P{Lu}", SPLIT_REMOVED, false, "X|Y");
    check_split("aXbY", "\\p{^Lu}", SPLIT_REMOVED, false, "X|Y");
    check_split("abab", "(ab)\\1", SPLIT_ISOLATED, false, "abab");
}

static void what_oniguruma_reads_differently_is_refused(void **state)
{
    static const char *const expressions[] = {
        "\\bx",   "\\R",     "\\X",           "\\K",    "a{1,2}+", "a{2}?", "(?<name>a)", "(?m)a",
        "a(?i)b", "(?i:ss)", "(?i:\xc3\xa4)", "[a[b]]", "[a&&b]",  "[]a]",  "\\p{Alpha}", "\\pL",
        "\\p{L",  "[\\W]",   "\\x",           "\\x{}",  "\\u12",   "\\12",  "\\",         "[a",
        "(?#x)",  "\\Gx",    "\\k<a>",        "[\\A]",  "(?=a",    "*",     "(?<=a+)b",
    };

    (void)state;
    for (size_t i = 0; i < sizeof expressions / sizeof expressions[0]; i++) {
        const struct slice expression = {expressions[i], strlen(expressions[i])};
        struct pattern *pattern = NULL;
        struct error err = {0};
        if (pattern_from_regex(&pattern, expression, &err) != STATUS_INPUT)
            fail_msg("not refused: %s", expressions[i]);
        assert_error(err, STATUS_INPUT, "regular expression: ");
    }
}

// A group that is repeated takes memory for every time it matched: first the stack of compiled expressions,
// then the heap.
static void a_match_may_be_as_long_as_the_text(void **state)
{
    static const char regex[] = "(?:a|b)+c";
    const size_t size = 500001;
    char *text = malloc(size);
    struct pattern *pattern = NULL;
    struct pattern_search search;
    struct error err = {0};
    bool found = false;
    size_t start = 1;
    size_t end = 0;

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < size; i++)
        text[i] = i + 1 == size ? 'c' : "ab"[i % 2];
    assert_ok(pattern_from_regex(&pattern, (struct slice){regex, strlen(regex)}, &err), err);
    assert_ok(pattern_begin(pattern, (struct slice){text, size}, &search, &err), err);
    assert_ok(pattern_next(pattern, &search, &found, &start, &end, &err), err);
    assert_true(found);
    assert_int_equal(start, 0);
    assert_int_equal(end, size);
    pattern_free(pattern);
    free(text);
}

// ---- normal forms ----------------------------------------------------------------------------------------

static void check_form(enum unicode_form form, const char *text, const char *expected)
{
    char bytes[256];
    const struct text in = {.bytes = bytes, .size = strlen(text)};
    struct text out = {0};
    struct error err = {0};

    snprintf(bytes, sizeof bytes, "%s", text);
    assert_ok(unicode_normalize(form, &in, &out, &err), err);
    assert_int_equal(out.size, strlen(expected));
    assert_memory_equal(out.bytes, expected, out.size);
    text_free(&out);
}

static void normal_forms_are_those_of_the_standard(void **state)
{
    (void)state;
    check_form(UNICODE_NFC, "e\xcc\x81", "\xc3\xa9");
    check_form(UNICODE_NFD, "\xc3\xa9", "e\xcc\x81");
    check_form(UNICODE_NFC, "\xe2\x84\xab", "\xc3\x85");                             // the Angstrom sign
    check_form(UNICODE_NFC, "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"); // Hangul
    check_form(UNICODE_NFKC, "\xef\xac\x81\xc2\xb2", "fi2");
    check_form(UNICODE_NFKD, "\xc2\xbd",
               "1\xe2\x81\x84"
               "2");
    check_form(UNICODE_NFC, "a\xcc\x87\xcc\xa3", "\xe1\xba\xa1\xcc\x87"); // ordered, then composed
    check_form(UNICODE_NFC, "\xcc\x81", "\xcc\x81");                      // nothing before it
    check_form(UNICODE_NFC, "", "");
    // U+11935 U+11930 compose since Unicode 13; `tokenizers` does not know, nor that U+1DFA goes below
    // others.
    check_form(UNICODE_NFC, "\xf0\x91\xa4\xb5\xf0\x91\xa4\xb0", "\xf0\x91\xa4\xb5\xf0\x91\xa4\xb0");
    check_form(UNICODE_NFC, "a\xcd\x85\xe1\xb7\xba", "a\xcd\x85\xe1\xb7\xba");
    check_form(UNICODE_NFC, "a\xe1\xb7\xb6\xcc\x96", "a\xe1\xb7\xb6\xcc\x96"); // U+1DF6, above U+0316
}

// In any order a thousand marks above and below come out as those below and then those above, each in their
// order.
static void a_long_run_of_marks_is_ordered(void **state)
{
    static const uint32_t marks[] = {0x301, 0x316, 0x302, 0x317}; // above, below, above, below
    struct text in = {0};
    struct text out = {0};
    struct text expected = {0};
    struct error err = {0};

    (void)state;
    assert_ok(text_append(&in, "x", 1, &err), err);
    assert_ok(text_append(&expected, "x", 1, &err), err);
    for (size_t i = 0; i < 1000; i++)
        assert_ok(text_append_code_point(&in, marks[i % 4], &err), err);
    for (size_t below = 2; below-- > 0;)
        for (size_t i = 0; i < 1000; i++)
            if (i % 2 == below)
                assert_ok(text_append_code_point(&expected, marks[i % 4], &err), err);
    assert_ok(unicode_normalize(UNICODE_NFD, &in, &out, &err), err);
    assert_int_equal(out.size, expected.size);
    assert_memory_equal(out.bytes, expected.bytes, out.size);
    text_free(&in);
    text_free(&out);
    text_free(&expected);
}

// Against utf8proc on whole texts, which neither cuts them nor orders them the same way.
static void normal_forms_of_random_texts_are_those_of_utf8proc(void **state)
{
    static const uint32_t alphabet[] = {'a',    'e',    'x',    ' ',    0xe9,   0xc5,    0x1e69,  0x300,
                                        0x301,  0x323,  0x327,  0x345,  0x1100, 0x1161,  0x11a8,  0xac00,
                                        0x4e00, 0xfb01, 0x2126, 0x3099, 0x304b, 0x1d15e, 0x2f800, 0x958,
                                        0x94d,  0x93c,  0x915,  0xbd,   0x344};
    const utf8proc_option_t options[] = {
        UTF8PROC_STABLE | UTF8PROC_COMPOSE, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT),
        (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT)};
    uint32_t random = 12345;

    (void)state;
    for (int n = 0; n < 4000; n++) {
        struct text in = {0};
        struct text out = {0};
        struct error err = {0};
        utf8proc_uint8_t *expected = NULL;
        utf8proc_ssize_t size;
        const int length = n % 100 == 0 ? 400 : n % 12;

        assert_ok(text_append(&in, "", 0, &err), err);
        for (int i = 0; i < length; i++) {
            random = random * 1664525 + 1013904223;
            assert_ok(text_append_code_point(
                          &in, alphabet[(random >> 8) % (sizeof alphabet / sizeof alphabet[0])], &err),
                      err);
        }
        size = utf8proc_map((const utf8proc_uint8_t *)(in.bytes != NULL ? in.bytes : ""),
                            (utf8proc_ssize_t)in.size, &expected, options[n % 4]);
        assert_true(size >= 0);
        assert_ok(unicode_normalize((enum unicode_form)(n % 4), &in, &out, &err), err);
        assert_int_equal(out.size, size);
        if (size > 0)
            assert_memory_equal(out.bytes, expected, out.size);
        free(expected);
        text_free(&in);
        text_free(&out);
    }
}

// ---- classes ---------------------------------------------------------------------------------------------

static void classes_of_characters_are_those_of_the_reference(void **state)
{
    (void)state;
    assert_true(unicode_is_whitespace(0x85) && unicode_is_whitespace(0x3000) && unicode_is_whitespace('\v'));
    assert_false(unicode_is_whitespace(0x180e) || unicode_is_whitespace(0x200b) ||
                 unicode_is_whitespace(0x1c));
    assert_true(unicode_is_numeric('7') && unicode_is_numeric(0xbd) && unicode_is_numeric(0x2167));
    assert_true(unicode_is_numeric(0x11de0)); // since Unicode 17
    assert_false(unicode_is_numeric(0x4e00) || unicode_is_numeric('a'));
    assert_true(unicode_is_punctuation('$') && unicode_is_punctuation(0x3001) && unicode_is_punctuation('^'));
    assert_false(unicode_is_punctuation(0x20ac) || unicode_is_punctuation('a'));
    assert_false(unicode_is_punctuation(0x2e43)); // since Unicode 9, too late for `tokenizers`
    assert_true(unicode_is_mark(0x301) && unicode_is_mark(0x903) && unicode_is_mark(0x20dd));
    assert_false(unicode_is_mark(0x1dfa) || unicode_is_mark('a'));
    assert_true(unicode_is_nonspacing(0x301) && unicode_is_nonspacing(0x93c));
    assert_false(unicode_is_nonspacing(0x903) || unicode_is_nonspacing('a') ||
                 unicode_is_nonspacing(0x20dd) || unicode_is_nonspacing(0x1dfa));
    assert_true(unicode_is_other(0) && unicode_is_other(0x7f) && unicode_is_other(0xad) &&
                unicode_is_other(0x200b) && unicode_is_other(0xe000));
    assert_false(unicode_is_other('a') || unicode_is_other(' ') || unicode_is_other(0x378) ||
                 unicode_is_other(0x110cd)); // nobody's, and since Unicode 11
    assert_true(unicode_is_word('_') && unicode_is_word(0x200d) && unicode_is_word(0x24b6) &&
                unicode_is_word(0x301));
    assert_false(unicode_is_word(0xb2) || unicode_is_word('-'));
}

static void tables_are_sorted_and_stand_ins_have_the_size_of_the_original(void **state)
{
    const struct {
        const struct unicode_range *ranges;
        size_t count;
    } tables[] = {{unicode_numeric_corrections, unicode_numeric_corrections_count},
                  {unicode_punctuation_corrections, unicode_punctuation_corrections_count},
                  {unicode_mark_corrections, unicode_mark_corrections_count},
                  {unicode_word_corrections, unicode_word_corrections_count},
                  {unicode_inert, unicode_inert_count},
                  {unicode_lower_corrections, unicode_lower_corrections_count},
                  {unicode_nonspacing_corrections, unicode_nonspacing_corrections_count},
                  {unicode_other_corrections, unicode_other_corrections_count},
                  {unicode_cluster_stand_ins, unicode_cluster_stand_ins_count},
                  {unicode_conjuncts, unicode_conjuncts_count},
                  {unicode_stand_ins, unicode_stand_ins_count}};

    (void)state;
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct unicode_range *range = &tables[t].ranges[i];
            assert_true(range->first <= range->last && (i == 0 || range[-1].last < range->first));
            assert_ptr_equal(unicode_find_range(tables[t].ranges, tables[t].count, range->first), range);
            assert_ptr_equal(unicode_find_range(tables[t].ranges, tables[t].count, range->last), range);
        }
    for (size_t i = 0; i < unicode_stand_ins_count; i++) {
        const struct unicode_range *range = &unicode_stand_ins[i];
        assert_true(range->first >= 0x800 && range->value >= 0x800);
        assert_int_equal(range->first >= 0x10000, range->value >= 0x10000);
        assert_int_equal(range->last >= 0x10000, range->value >= 0x10000);
    }
    assert_null(unicode_find_range(unicode_inert, unicode_inert_count, 'a'));
    assert_null(unicode_find_range(unicode_inert, unicode_inert_count, 0x10ffff));
}

// The grapheme clusters of text, with | between, must be `expected`.
static void check_clusters(const char *expected)
{
    char text[256], shown[256];
    size_t size = 0, used = 0;

    for (const char *c = expected; *c != '\0'; c++)
        if (*c != '|')
            text[size++] = *c;
    for (size_t at = 0, end; at < size; at = end) {
        end = unicode_grapheme_end(text, size, at);
        used += (size_t)snprintf(shown + used, sizeof shown - used, "%s%.*s", at > 0 ? "|" : "",
                                 (int)(end - at), text + at);
    }
    assert_string_equal(shown, expected);
}

static void grapheme_clusters_are_those_of_unicode_16(void **state)
{
    (void)state;
    check_clusters("a|b");
    check_clusters("a|\r\n|\n|\r|\t"); // CR and LF
    check_clusters("e\xcc\x81\xcc\xa3|x");
    check_clusters("\n|\xcc\x81|a"); // nothing follows a control character
    check_clusters("\xd8\x80"
                   "1|2");                                                               // U+0600 goes before
    check_clusters("\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8|\xea\xb0\x80");                 // Hangul
    check_clusters("\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa|\xf0\x9f\x87\xab\xf0\x9f\x87\xb7"); // flags in pairs
    check_clusters("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80|x"); // emoji with a joiner
    // GB9c: consonant, linker, consonant; not where a vowel sign or nothing is between.
    check_clusters("\xe0\xa4\x95\xe0\xa5\x8d\xe0\xa4\x95\xcc\x81|x");
    check_clusters("\xe0\xa4\x95\xe0\xa4\xbc\xe0\xa5\x8d\xe2\x80\x8d\xe0\xa4\x95|x");
    check_clusters("\xe0\xa4\x95|\xe0\xa4\x95");
    check_clusters("\xe0\xa4\x95\xe0\xa5\x8d\xe0\xa4\xbe|\xe0\xa4\x95");
    check_clusters("a\xe0\xa5\x8d|\xe0\xa4\x95");
    check_clusters("a\xe0\xa2\x97|b"); // U+0897, since Unicode 16
}

static void check_step(enum status (*step)(const struct text *, struct text *, struct error *),
                       const char *bytes, const char *expected)
{
    const struct text in = {.bytes = (char *)bytes, .size = strlen(bytes)};
    struct text out = {0};
    struct error err = {0};
    assert_ok(step(&in, &out, &err), err);
    assert_int_equal(out.size, strlen(expected));
    assert_memory_equal(out.bytes, expected, out.size);
    text_free(&out);
}

static void the_steps_of_bert(void **state)
{
    (void)state;
    check_step(bert_clean,
               "a\tb\x01"
               "c\xc2\xa0\xe2\x80\x8b"
               "d\xef\xbf\xbd"
               "e\r\n",
               "a bc de  ");
    check_step(bert_space_ideographs, "a\xe4\xb8\x80\xe3\x81\x82", "a \xe4\xb8\x80 \xe3\x81\x82"); // not kana
    // U+2B820 is an ideograph, but not to `tokenizers`
    check_step(bert_space_ideographs, "\xf0\xab\xa0\xa0\xf0\xab\xa4\xa0",
               "\xf0\xab\xa0\xa0 \xf0\xab\xa4\xa0 ");
    check_step(bert_strip_accents, "e\xcc\x81\xe0\xa4\x83", "e\xe0\xa4\x83"); // U+0903 takes space
}

// A map that makes "e" to "X", "f" to "TM" and the control character U+0001 to nothing, made with charsmap of
// tests/golden/tokenizer_layouts.py.
static void a_character_map_looks_at_short_graphemes_as_a_whole(void **state)
{
    static const char charsmap[] =
        "AAQAAAAIAAADAACAAAAAAAEdAAACAACAAAAAgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABm"
        "lQEAAAAAAAAAAABliQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAABYAABUTQA=";
    static const struct {
        const char *text, *expected;
        size_t origin, expected_origin;
    } cases[] = {
        {"aeb", "aXb", 1, 1},
        {"e\xcc\x81", "X", 1, 1},                                         // the accent goes as well
        {"e\xcc\x81\xcc\xa3", "X", 1, 1},                                 // five bytes
        {"e\xcc\x81\xcc\xa3\xcc\x81", "X\xcc\x81\xcc\xa3\xcc\x81", 1, 1}, // seven
        {"e\xe2\x83\x90\xcc\x81", "X\xe2\x83\x90\xcc\x81", 1, 1},         // six
        {"a\x01"
         "b",
         "ab", 1, 1},
        {"fb", "TMb", 1, 2},
        {"ae\xcc\x81"
         "b",
         "aXb", 4, 2},
        {"\x01"
         "ab",
         "ab", 1, 1}, // what took the place of the first character, as `tokenizers` counts
        {"", "", 0, 0},
    };
    struct precompiled *map = NULL;
    struct error err = {0};

    (void)state;
    assert_ok(precompiled_new(&map, (struct slice){charsmap, strlen(charsmap)}, &err), err);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct text in = {
            .bytes = (char *)cases[i].text, .size = strlen(cases[i].text), .origin_bytes = cases[i].origin};
        struct text out = {0};
        assert_ok(precompiled_apply(map, &in, &out, &err), err);
        assert_int_equal(out.size, strlen(cases[i].expected));
        if (out.size > 0)
            assert_memory_equal(out.bytes, cases[i].expected, out.size);
        assert_int_equal(out.origin_bytes, cases[i].expected_origin);
        text_free(&out);
    }
    precompiled_free(map);
}

static void lower_case_looks_at_one_character_at_a_time(void **state)
{
    char bytes[] = "A\xc3\x89\xce\xa3\xc4\xb0\xea\x9f\x9c\xf0\x90\xb5\x90.";
    const struct text in = {.bytes = bytes, .size = strlen(bytes)};
    struct text out = {0};
    struct error err = {0};
    // no final sigma; İ becomes two; U+A7DC and U+10D50 are of Unicode 16
    static const char expected[] = "a\xc3\xa9\xcf\x83i\xcc\x87\xc6\x9b\xf0\x90\xb5\xb0.";

    (void)state;
    assert_ok(unicode_lowercase(&in, &out, &err), err);
    assert_int_equal(out.size, strlen(expected));
    assert_memory_equal(out.bytes, expected, out.size);
    text_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_as_the_documentation_says),
        cmocka_unit_test(expressions_match_as_oniguruma_does),
        cmocka_unit_test(what_oniguruma_reads_differently_is_refused),
        cmocka_unit_test(a_match_may_be_as_long_as_the_text),
        cmocka_unit_test(normal_forms_are_those_of_the_standard),
        cmocka_unit_test(a_long_run_of_marks_is_ordered),
        cmocka_unit_test(normal_forms_of_random_texts_are_those_of_utf8proc),
        cmocka_unit_test(classes_of_characters_are_those_of_the_reference),
        cmocka_unit_test(tables_are_sorted_and_stand_ins_have_the_size_of_the_original),
        cmocka_unit_test(grapheme_clusters_are_those_of_unicode_16),
        cmocka_unit_test(the_steps_of_bert),
        cmocka_unit_test(a_character_map_looks_at_short_graphemes_as_a_whole),
        cmocka_unit_test(lower_case_looks_at_one_character_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
