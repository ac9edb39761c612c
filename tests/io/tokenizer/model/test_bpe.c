// bpe.h: the merges of a word are those of the rule itself, applied naively; words come out the
// same alone, from the cache, and as a part of a longer one.
#include "io/tokenizer/model/bpe.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ---- a random model, kept in the plainest form -----------------------------------------------------------

enum { LETTERS = 5, MERGES = 60, TOKENS = LETTERS + MERGES, LONGEST = 4000 };

struct plain_model {
    char tokens[TOKENS][32]; // by id; the first are the letters
    int count;
    int left[MERGES];
    int right[MERGES];
    int merges; // in order of their rank
};

static uint64_t seed;

static uint32_t random_below(uint32_t bound) // SplitMix64
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)((z ^ z >> 31) % bound);
}

static int find_token(const struct plain_model *model, const char *token)
{
    for (int i = 0; i < model->count; i++)
        if (strcmp(model->tokens[i], token) == 0)
            return i;
    return -1;
}

// Merges of random tokens in random order: a token may be made in several ways, and before its parts are.
static void make_model(struct plain_model *model)
{
    memset(model, 0, sizeof *model);
    for (int i = 0; i < LETTERS; i++)
        model->tokens[model->count++][0] = (char)('a' + i);
    while (model->merges < MERGES) {
        char joined[64];
        const int left = (int)random_below((uint32_t)model->count);
        const int right = (int)random_below((uint32_t)model->count);
        bool known = false;
        snprintf(joined, sizeof joined, "%s%s", model->tokens[left], model->tokens[right]);
        for (int i = 0; i < model->merges; i++)
            known = known || (model->left[i] == left && model->right[i] == right);
        if (known || strlen(joined) > 12 || (model->count == TOKENS && find_token(model, joined) < 0))
            continue;
        if (find_token(model, joined) < 0)
            snprintf(model->tokens[model->count++], sizeof model->tokens[0], "%.12s", joined);
        model->left[model->merges] = left;
        model->right[model->merges++] = right;
    }
    for (int i = MERGES - 1; i > 0; i--) { // shuffle the ranks
        const int k = (int)random_below((uint32_t)i + 1);
        const int l = model->left[i];
        const int r = model->right[i];
        model->left[i] = model->left[k];
        model->right[i] = model->right[k];
        model->left[k] = l;
        model->right[k] = r;
    }
}

static json_t *model_json(const struct plain_model *model)
{
    json_t *vocab = json_object();
    json_t *merges = json_array();
    for (int i = 0; i < model->count; i++)
        json_object_set_new(vocab, model->tokens[i], json_integer(i));
    for (int i = 0; i < model->merges; i++)
        json_array_append_new(
            merges, json_pack("[ss]", model->tokens[model->left[i]], model->tokens[model->right[i]]));
    return json_pack("{s:s, s:o, s:o}", "type", "BPE", "vocab", vocab, "merges", merges);
}

// The rule as it is written: of all neighbours take the pair of lowest rank, the leftmost of equals; until
// there is none.
static int merge_naively(const struct plain_model *model, const char *word, int *ids)
{
    int count = 0;

    for (; word[count] != '\0'; count++)
        ids[count] = word[count] - 'a';
    for (;;) {
        int best = MERGES;
        int place = -1;
        for (int i = 0; i + 1 < count; i++)
            for (int rank = 0; rank < best; rank++)
                if (model->left[rank] == ids[i] && model->right[rank] == ids[i + 1]) {
                    best = rank;
                    place = i;
                }
        if (place < 0)
            return count;
        char joined[64];
        snprintf(joined, sizeof joined, "%s%s", model->tokens[ids[place]], model->tokens[ids[place + 1]]);
        ids[place] = find_token(model, joined);
        memmove(&ids[place + 1], &ids[place + 2], (size_t)(count - place - 2) * sizeof *ids);
        count--;
    }
}

static struct bpe *new_bpe(json_t *json)
{
    struct bpe *bpe = NULL;
    struct error err = {0};
    assert_non_null(json);
    assert_ok(bpe_from_json(&bpe, json, &err), err);
    json_decref(json);
    return bpe;
}

static void merges_are_those_of_the_rule(void **state)
{
    static int expected[LONGEST];

    (void)state;
    seed = 7;
    for (int m = 0; m < 60; m++) {
        struct plain_model model;
        struct ids ids = {0};
        struct error err = {0};
        struct bpe *bpe;

        make_model(&model);
        bpe = new_bpe(model_json(&model));
        for (int w = 0; w < 60; w++) {
            char word[LONGEST + 1] = {0};
            const uint32_t letters = 1 + random_below(LETTERS); // few letters give long merges
            const uint32_t size = w == 0 ? 600 : 1 + random_below(w % 4 == 0 ? 200 : 12);
            int count;
            for (uint32_t i = 0; i < size; i++)
                word[i] = (char)('a' + random_below(letters));
            count = merge_naively(&model, word, expected);
            for (int twice = 0; twice < 2; twice++) { // the second time from the cache
                ids.count = 0;
                assert_ok(bpe_encode(bpe, word, size, &ids, &err), err);
                assert_int_equal(ids.count, count);
                for (int i = 0; i < count; i++)
                    assert_int_equal(ids.items[i], expected[i]);
            }
        }
        free(ids.items);
        bpe_free(bpe);
    }
}

// ---- what is no token ------------------------------------------------------------------------------------

static void check(const char *model, const char *word, const char *expected)
{
    json_error_t problem;
    struct bpe *bpe = new_bpe(json_loads(model, 0, &problem));
    struct ids ids = {0};
    struct error err = {0};
    char text[256] = "";

    assert_ok(bpe_encode(bpe, word, strlen(word), &ids, &err), err);
    for (size_t i = 0; i < ids.count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), i > 0 ? " %d" : "%d", ids.items[i]);
    assert_string_equal(text, expected);
    free(ids.items);
    bpe_free(bpe);
}

#define VOCAB \
    "\"vocab\":{\"?\":0,\"a\":1,\"b\":2,\"ab\":3,\"<0xC3>\":4,\"<0xA4>\":5,\"abab\":6},\"merges\":[\"a b\"]"

static void characters_that_are_no_tokens_are_left_out_without_an_unknown_token(void **state)
{
    (void)state;
    check("{" VOCAB "}", "axb", "3"); // what is left out does not part its neighbours
}

static void unknown_characters_become_the_unknown_token(void **state)
{
    (void)state;
    check("{\"unk_token\":\"?\"," VOCAB "}", "xxabx", "0 0 3 0");
    check("{\"unk_token\":\"?\",\"fuse_unk\":true," VOCAB "}", "xxabxy", "0 3 0");
}

static void bytes_stand_for_a_character_if_all_of_them_are_tokens(void **state)
{
    (void)state;
    check("{\"unk_token\":\"?\",\"byte_fallback\":true," VOCAB "}",
          "a\xc3\xa4"
          "b",
          "1 4 5 2");
    check("{\"unk_token\":\"?\",\"byte_fallback\":true," VOCAB "}",
          "a\xc3\xa5"
          "b",
          "1 0 2");
    // `tokenizers` adds an unknown token only before the next known character, here after the bytes.
    check("{\"unk_token\":\"?\",\"byte_fallback\":true," VOCAB "}",
          "x\xc3\xa4"
          "b",
          "4 5 0 2");
}

static void ignore_merges_takes_a_word_that_is_a_token_whole(void **state)
{
    (void)state;
    check("{" VOCAB "}", "abab", "3 3");
    check("{\"ignore_merges\":true," VOCAB "}", "abab", "6");
    check("{\"ignore_merges\":true," VOCAB "}", "ababa", "3 3 1");
}

// A long word is cut where no merge can join; what is unknown or made of bytes must not be lost or parted
// there.
static void a_long_word_is_the_same_as_its_parts(void **state)
{
    (void)state;
    check("{\"unk_token\":\"?\",\"fuse_unk\":true," VOCAB "}",
          "bababababababababababababababababababxxxxxxxxxxxxxxxxxxxxxxbbbbaaaa",
          "2 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 3 0 2 2 2 2 1 1 1 1");
}

// Merges may take in the unknown token as any other; a long word is not cut there.
static void the_unknown_token_can_be_merged(void **state)
{
    (void)state;
    check("{\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"a?\":2},\"merges\":[\"a ?\"]}", "axa", "2 1");
    check("{\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"a\":1,\"a?\":2},\"merges\":[\"a ?\"]}",
          "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaax",
          "1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 2");
}

// <01> is a token for a byte and can be spelled out, too: the pair of the two on the left appears after that
// of the two on the right, and is merged before.
static void of_equals_the_leftmost_is_merged_when_it_comes_late_too(void **state)
{
    (void)state;
    check("{\"byte_fallback\":true,\"vocab\":{\"<\":0,\"0\":1,\"x\":2,\"1\":3,\">\":4,\"<0\":5,\"<0x\":6,\"<"
          "0x0\":7,"
          "\"<0x01\":8,\"<0x01>\":9,\"<0x01><0x01>\":10},\"merges\":[\"< 0\",\"<0 x\",\"<0x 0\",\"<0x0 "
          "1\",\"<0x01 >\","
          "\"<0x01> <0x01>\"]}",
          "<0x01>\x01\x01", "10 9");
}

static void of_two_merges_of_one_pair_the_last_counts(void **state)
{
    (void)state;
    check("{\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4},\"merges\":[\"a b\",\"b c\",\"a b\"]}",
          "abc", "0 4");
    check("{\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4},\"merges\":[\"a b\",\"b c\"]}", "abc",
          "3 2");
}

#define SUFFIXED(flags)                                                                       \
    "{\"end_of_word_suffix\":\"</w>\"," flags "\"vocab\":{\"a\":0,\"b\":1,\"b</w>\":2,\"ab</" \
    "w>\":3,\"<unk>\":4,\"<0x3C>\":5,\"<0x2F>\":6,\"<0x77>\":7,"                              \
    "\"<0x3E>\":8,\"<0x63>\":9,\"aa\":10,\"\xc3\xa9</w>\":11,\"aab</w>\":12},"                \
    "\"merges\":[\"a b</w>\",\"a a\",\"aa b</w>\"]}"
#define UNKNOWN "\"unk_token\":\"<unk>\","

// The ids that tokenizers 0.23 gives.
static void the_last_character_has_the_suffix_of_words(void **state)
{
    static const struct {
        const char *model, *word, *ids;
    } cases[] = {
        {SUFFIXED(UNKNOWN), "ab", "3"},
        {SUFFIXED(UNKNOWN), "abab", "0 1 3"},
        {SUFFIXED(UNKNOWN), "b", "2"},
        {SUFFIXED(UNKNOWN), "ba", "1 4"}, // a</w> is no token
        {SUFFIXED(UNKNOWN), "a\xc3\xa9", "0 11"},
        {SUFFIXED(UNKNOWN), "cc", "4 4"},
        {SUFFIXED(UNKNOWN "\"fuse_unk\":true,"), "cc", "4"},
        {SUFFIXED(UNKNOWN), "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab",
         "10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 10 3"},
        {SUFFIXED(UNKNOWN), "abababababababababababababababababab",
         "0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 0 1 3"}, // where no merge can join
                                                                                   // b and a
        {SUFFIXED(UNKNOWN "\"byte_fallback\":true,"), "cc", "9 9 5 6 7 8"},        // bytes of the suffix, too
        {SUFFIXED(UNKNOWN "\"byte_fallback\":true,"), "ca", "9 4"},
        {SUFFIXED(""), "ac", "0"},
        {SUFFIXED("\"ignore_merges\":true,"), "b", "1"},
        {SUFFIXED("\"ignore_merges\":true,"), "ab", "3"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check(cases[i].model, cases[i].word, cases[i].ids);
}

// The oldest files hold merges.txt with its first line.
static void the_version_line_is_no_merge(void **state)
{
    (void)state;
    check("{\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"#version: 0.2\",\"a b\"]}", "abab", "2 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merges_are_those_of_the_rule),
        cmocka_unit_test(characters_that_are_no_tokens_are_left_out_without_an_unknown_token),
        cmocka_unit_test(unknown_characters_become_the_unknown_token),
        cmocka_unit_test(bytes_stand_for_a_character_if_all_of_them_are_tokens),
        cmocka_unit_test(ignore_merges_takes_a_word_that_is_a_token_whole),
        cmocka_unit_test(a_long_word_is_the_same_as_its_parts),
        cmocka_unit_test(the_unknown_token_can_be_merged),
        cmocka_unit_test(of_equals_the_leftmost_is_merged_when_it_comes_late_too),
        cmocka_unit_test(of_two_merges_of_one_pair_the_last_counts),
        cmocka_unit_test(the_version_line_is_no_merge),
        cmocka_unit_test(the_last_character_has_the_suffix_of_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
