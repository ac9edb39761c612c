// unigram.h, word_piece.h: random words get the ids that plain loops over all ways to write them find.
#include "io/tokenizer/model/unigram.h"
#include "io/tokenizer/model/word_piece.h"
#include "tests/support/random.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LONGEST = 9, TOKENS = 12 };

struct vocabulary_case {
    char tokens[TOKENS][4];
    double scores[TOKENS];
    size_t count;
};

// Tokens of one to three of the letters a, b, c; the first is one that no word has.
static struct vocabulary_case random_tokens(struct random_state *random)
{
    struct vocabulary_case v = {.tokens = {"?"}, .scores = {-3}, .count = 1};

    while (v.count < TOKENS) {
        char *token = v.tokens[v.count];
        const size_t size = 1 + random_below(random, 3);
        bool is_new = true;
        for (size_t i = 0; i < size; i++)
            token[i] = (char)('a' + random_below(random, 3));
        token[size] = '\0';
        for (size_t i = 0; i < v.count; i++)
            is_new = is_new && strcmp(v.tokens[i], token) != 0;
        // Multiples of 1/4, so that sums are exact.
        v.scores[v.count] = -0.25 * (double)random_below(random, 64);
        v.count += is_new;
    }
    return v;
}

static void random_word(char *word, struct random_state *random)
{
    const size_t size = 1 + random_below(random, LONGEST);
    for (size_t i = 0; i < size; i++)
        word[i] = (char)('a' + random_below(random, 3));
    word[size] = '\0';
}

static json_t *parsed(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

// ---- Unigram
// --------------------------------------------------------------------------------------------------

// The best sum of scores of all rows that write word[0..]; a character alone that is no token is unknown.
static double best_sum(const struct vocabulary_case *v, const char *word)
{
    double best = -1e30, lowest = 0;
    bool alone = false;

    if (word[0] == '\0')
        return 0;
    for (size_t t = 0; t < v->count; t++) {
        const size_t size = strlen(v->tokens[t]);
        lowest = v->scores[t] < lowest ? v->scores[t] : lowest;
        if (strncmp(word, v->tokens[t], size) != 0)
            continue;
        const double sum = v->scores[t] + best_sum(v, word + size);
        best = sum > best ? sum : best;
        alone = alone || size == 1;
    }
    if (!alone) {
        const double sum = lowest - 10 + best_sum(v, word + 1);
        best = sum > best ? sum : best;
    }
    return best;
}

// What the ids come to: they must write the word, where unknown stands for one character or for several.
static double sum_of(const struct vocabulary_case *v, const char *word, const struct ids *ids, size_t from)
{
    double best = -1e30, lowest = 0;

    if (from == ids->count)
        return word[0] == '\0' ? 0 : -1e30;
    for (size_t t = 0; t < v->count; t++)
        lowest = v->scores[t] < lowest ? v->scores[t] : lowest;
    const int32_t id = ids->items[from];
    if (id == 0) {
        for (size_t n = 1; n <= strlen(word); n++) {
            const double sum = (double)n * (lowest - 10) + sum_of(v, word + n, ids, from + 1);
            best = sum > best ? sum : best;
        }
        return best;
    }
    const char *token = v->tokens[id];
    return strncmp(word, token, strlen(token)) == 0
               ? v->scores[id] + sum_of(v, word + strlen(token), ids, from + 1)
               : -1e30;
}

static void a_unigram_model_finds_the_best_sum(void **state)
{
    struct random_state random = random_seed(3);

    (void)state;
    for (int round = 0; round < 200; round++) {
        const struct vocabulary_case v = random_tokens(&random);
        struct unigram *unigram = NULL;
        struct error err = {0};
        char text[1024], word[LONGEST + 1];
        size_t used = (size_t)sprintf(text, "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[");

        for (size_t t = 0; t < v.count; t++)
            used +=
                (size_t)sprintf(text + used, "%s[\"%s\",%.2f]", t > 0 ? "," : "", v.tokens[t], v.scores[t]);
        sprintf(text + used, "]}");
        json_t *json = parsed(text);
        assert_ok(unigram_from_json(&unigram, json, &err), err);
        for (int i = 0; i < 20; i++) {
            struct ids ids = {0};
            random_word(word, &random);
            assert_ok(unigram_encode(unigram, word, strlen(word), &ids, &err), err);
            // Neighbours that are unknown are one id.
            for (size_t k = 1; k < ids.count; k++)
                assert_false(ids.items[k] == 0 && ids.items[k - 1] == 0);
            if (sum_of(&v, word, &ids, 0) != best_sum(&v, word))
                fail_msg("\"%s\" with %s: the sum is %g, not %g", word, text, sum_of(&v, word, &ids, 0),
                         best_sum(&v, word));
            free(ids.items);
        }
        unigram_free(unigram);
        json_decref(json);
    }
}

static void assert_unigram(const char *model, const char *word, size_t count, const int32_t *expected)
{
    struct unigram *unigram = NULL;
    struct error err = {0};
    struct ids ids = {0};
    json_t *json = parsed(model);

    assert_ok(unigram_from_json(&unigram, json, &err), err);
    assert_ok(unigram_encode(unigram, word, strlen(word), &ids, &err), err);
    assert_int_equal(ids.count, count);
    assert_memory_equal(ids.items, expected, count * sizeof *expected);
    free(ids.items);
    unigram_free(unigram);
    json_decref(json);
}
#define UNIGRAM(model, word, ...)                                                         \
    assert_unigram(model, word, sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t), \
                   (const int32_t[]){__VA_ARGS__})

static void ties_and_unknown_characters_of_a_unigram_model(void **state)
{
    struct unigram *unigram = NULL;
    struct error err = {0};
    struct ids ids = {0};

    (void)state;
    // The example of `tokenizers`: unknown neighbours are one.
    UNIGRAM(
        "{\"unk_id\":0,\"vocab\":[[\"?\",0],[\"a\",0],[\"b\",0],[\"c\",0],[\"d\",0],[\"cd\",1],[\"ab\",2],"
        "[\"abc\",5],[\"abcd\",10]]}",
        "abcdacdxx", 8, 1, 5, 0);
    // Of equal sums the row whose last token begins first stays.
    UNIGRAM("{\"unk_id\":0,\"vocab\":[[\"?\",-9],[\"a\",-1],[\"b\",-1],[\"ab\",-2]]}", "ab", 3);
    // Of equal tokens the last one counts.
    UNIGRAM("{\"unk_id\":0,\"vocab\":[[\"?\",-9],[\"a\",-1],[\"a\",-2]]}", "a", 2);
    // Unknown characters as bytes, only where all of them are tokens.
    UNIGRAM("{\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[[\"?\",-9],[\"<0xC3>\",0],[\"<0xA4>\",0],[\"a\","
            "-1]]}",
            "a\xc3\xa4", 3, 1, 2);
    UNIGRAM("{\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[[\"?\",-9],[\"<0xC3>\",0],[\"a\",-1]]}",
            "a\xc3\xa4", 2, 0);
    // Several unknown characters are a token that was too unlikely: it is found all the same.
    UNIGRAM("{\"unk_id\":0,\"vocab\":[[\"?\",30],[\"xy\",30],[\"a\",100]]}", "axya", 2, 1, 2);

    UNIGRAM("{\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[[\"?\",30],[\"xy\",30],[\"xy\",30],[\"a\",100],"
            "[\"<0x78>\",30],[\"<0x79>\",30]]}",
            "axya", 3, 2, 3);

    json_t *json = parsed("{\"vocab\":[[\"a\",-1]]}");
    assert_ok(unigram_from_json(&unigram, json, &err), err);
    assert_int_equal(unigram_encode(unigram, "ab", 2, &ids, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "a character that is no token, and the model has no unk_id");
    free(ids.items);
    unigram_free(unigram);
    json_decref(json);
}

// ---- WordPiece
// ------------------------------------------------------------------------------------------------

// Writes the ids that a plain search gives, and their count.
static size_t naive_word_piece(int32_t *out, const struct vocabulary_case *v, const char *word, size_t most)
{
    size_t count = 0, start = 0;

    if (strlen(word) > most) {
        out[0] = 0;
        return 1;
    }
    while (word[start] != '\0') {
        size_t best = 0;
        for (size_t t = 0; t < v->count; t++) {
            const bool continues = t % 2 == 1; // tokens of odd number are written with the prefix
            const size_t size = strlen(v->tokens[t]);
            if (continues == (start > 0) && size > best && strncmp(word + start, v->tokens[t], size) == 0) {
                best = size;
                out[count] = (int32_t)t;
            }
        }
        if (best == 0) {
            out[0] = 0;
            return 1;
        }
        start += best;
        count++;
    }
    return count;
}

static void a_word_piece_model_takes_the_longest_token_each_time(void **state)
{
    struct random_state random = random_seed(5);
    size_t known = 0, cut = 0;

    (void)state;
    for (int round = 0; round < 200; round++) {
        const struct vocabulary_case v = random_tokens(&random);
        const size_t most = 3 + random_below(&random, LONGEST);
        struct word_piece *model = NULL;
        struct error err = {0};
        char text[1024], word[LONGEST + 1];
        size_t used = (size_t)sprintf(text,
                                      "{\"unk_token\":\"?\",\"continuing_subword_prefix\":\"##\","
                                      "\"max_input_chars_per_word\":%zu,\"vocab\":{",
                                      most);

        for (size_t t = 0; t < v.count; t++)
            used += (size_t)sprintf(text + used, "%s\"%s%s\":%zu", t > 0 ? "," : "", t % 2 == 1 ? "##" : "",
                                    v.tokens[t], t);
        sprintf(text + used, "}}");
        json_t *json = parsed(text);
        assert_ok(word_piece_from_json(&model, json, &err), err);
        for (int i = 0; i < 20; i++) {
            int32_t expected[LONGEST];
            struct ids ids = {0};
            random_word(word, &random);
            const size_t count = naive_word_piece(expected, &v, word, most);
            assert_ok(word_piece_encode(model, word, strlen(word), &ids, &err), err);
            assert_int_equal(ids.count, count);
            assert_memory_equal(ids.items, expected, count * sizeof *expected);
            known += expected[0] != 0;
            cut += count > 1;
            free(ids.items);
        }
        word_piece_free(model);
        json_decref(json);
    }
    assert_true(known > 100 && cut > 100); // the cases are not all of one kind
}

static void an_unknown_word_needs_an_unknown_token(void **state)
{
    struct word_piece *model = NULL;
    struct error err = {0};
    struct ids ids = {0};
    json_t *json =
        parsed("{\"unk_token\":\"?\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":2,"
               "\"vocab\":{\"\xc3\xa4\":0,\"##\xc3\xa4\":1}}");

    (void)state;
    assert_ok(word_piece_from_json(&model, json, &err), err);
    assert_ok(word_piece_encode(model, "\xc3\xa4\xc3\xa4", 4, &ids, &err), err); // two characters
    assert_int_equal(ids.count, 2);
    assert_int_equal(word_piece_encode(model, "\xc3\xa4\xc3\xa4\xc3\xa4", 6, &ids, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "unk_token \"?\" a token");
    assert_int_equal(ids.count, 2);
    free(ids.items);
    word_piece_free(model);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_unigram_model_finds_the_best_sum),
        cmocka_unit_test(ties_and_unknown_characters_of_a_unigram_model),
        cmocka_unit_test(a_word_piece_model_takes_the_longest_token_each_time),
        cmocka_unit_test(an_unknown_word_needs_an_unknown_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
