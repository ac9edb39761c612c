// sample.h: which tokens of which documents become calibration sequences and evaluation windows.
#include "io/corpus/generator.h"
#include "io/corpus/sample.h"
#include "tests/golden/sample.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ---- a tokenizer that tells where each token came from ------------------------------------------
// One token a byte: 1000 * (first byte - 'a') + position, after a special token at position 0. A text that
// begins with '!' cannot be tokenised.

struct tokenizer {
    size_t calls;
};

static size_t encoded_size;      // of the last call
static const char *encoded_text; // and its text, copied
static char encoded_copy[4096];

enum status tokenizer_load(struct tokenizer **tokenizer, const char *path, struct error *err)
{
    (void)path;
    return allocate(tokenizer, 1, sizeof **tokenizer, "a tokenizer", err);
}

void tokenizer_free(struct tokenizer *tokenizer)
{
    free(tokenizer);
}

size_t tokenizer_vocabulary_size(const struct tokenizer *tokenizer)
{
    (void)tokenizer;
    return 26000;
}

enum status tokenizer_encode(struct tokenizer *tokenizer, const char *text, size_t size,
                             bool add_special_tokens, int32_t **out, size_t *count, struct error *err)
{
    tokenizer->calls++;
    encoded_size = size;
    if (size < sizeof encoded_copy) {
        memcpy(encoded_copy, text, size);
        encoded_copy[size] = '\0';
        encoded_text = encoded_copy;
    }
    RETURN_ERROR_IF(size > 0 && text[0] == '!', err, STATUS_INPUT, "invalid text");
    assert_true(add_special_tokens);
    *count = size + 1;
    FORWARD_IF_ERROR(allocate(out, *count, sizeof **out, "tokens", err));
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = (int32_t)(1000 * (size > 0 ? text[0] - 'a' : 0) + (int)i);
    return STATUS_OK;
}

// A corpus whose document i has counts[i] tokens, all of letter 'a' + i.
static struct corpus make_corpus(size_t documents, const size_t *counts)
{
    struct corpus corpus = {.count = documents};
    size_t total = 0;

    corpus.offsets = calloc(documents + 1, sizeof *corpus.offsets);
    assert_non_null(corpus.offsets);
    for (size_t i = 0; i < documents; i++)
        corpus.offsets[i + 1] = total += counts[i] - 1; // without the special token
    corpus.text = malloc(total + 1);
    assert_non_null(corpus.text);
    for (size_t i = 0; i < documents; i++)
        memset(corpus.text + corpus.offsets[i], 'a' + (int)i, counts[i] - 1);
    return corpus;
}

static void free_corpus(struct corpus *corpus)
{
    free(corpus->text);
    free(corpus->offsets);
}

// ---- the generator ------------------------------------------------------------------------------

static void test_generator_gives_the_published_numbers(void **state)
{
    (void)state;
    struct generator generator;

    // SplitMix64 from 1234567: https://rosettacode.org/wiki/Pseudo-random_numbers/Splitmix64
    generator_seed(&generator, 1234567);
    assert_true(generator.state[0] == UINT64_C(6457827717110365317));
    assert_true(generator.state[1] == UINT64_C(3203168211198807973));
    assert_true(generator.state[2] == UINT64_C(9817491932198370423));
    assert_true(generator.state[3] == UINT64_C(4593380528125082431));

    // xoshiro256** from the state 1, 2, 3, 4: the test vector of the rand_xoshiro crate, made with the
    // authors' C code.
    generator = (struct generator){{1, 2, 3, 4}};
    const uint64_t expected[] = {11520,
                                 0,
                                 1509978240,
                                 UINT64_C(1215971899390074240),
                                 UINT64_C(1216172134540287360),
                                 UINT64_C(607988272756665600),
                                 UINT64_C(16172922978634559625),
                                 UINT64_C(8476171486693032832),
                                 UINT64_C(10595114339597558777),
                                 UINT64_C(2904607092377533576)};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_true(generator_next(&generator) == expected[i]);
}

static void test_bounded_numbers_are_below_and_even(void **state)
{
    (void)state;
    enum { DRAWS = 60000, BOUND = 6 };
    struct generator generator;
    size_t seen[BOUND] = {0};

    generator_seed(&generator, 1);
    for (size_t i = 0; i < DRAWS; i++) {
        const uint64_t value = generator_below(&generator, BOUND);
        assert_true(value < BOUND);
        seen[value]++;
    }
    for (size_t i = 0; i < BOUND; i++) // 10000 expected, standard deviation 91: five of them
        assert_in_range(seen[i], 10000 - 457, 10000 + 457);
    assert_int_equal(generator_below(&generator, 1), 0);

    // With a bound of three quarters of 2^64 a quarter of all values must be drawn again; without that the
    // lowest third would come twice as often: a mean of 5/12 instead of 1/2.
    double mean = 0;
    const uint64_t bound = UINT64_C(3) << 62;
    for (size_t i = 0; i < DRAWS; i++)
        mean += (double)generator_below(&generator, bound) / (double)bound / DRAWS;
    assert_true(mean > 0.49 && mean < 0.51); // standard deviation 0.0012
}

// ---- calibration sequences ----------------------------------------------------------------------

// Without packing; where that is possible, it is also what happens by itself.
static enum status by_documents(int32_t **ids, struct tokenizer *tokenizer, const struct corpus *corpus,
                                size_t sequences, size_t length, uint64_t seed, struct error *err)
{
    struct sample_request request = {sequences, length, seed, PACK_FALSE, 0};
    struct tokenizer another = {0};
    struct sample sample, automatic;
    const enum status status = sample_sequences(&sample, tokenizer, corpus, &request, err);

    assert_int_equal(sample.packed, 0);
    *ids = sample.ids;
    if (status != STATUS_OK)
        return status;
    assert_int_equal(sample.longest, 0);
    request.pack = PACK_AUTO;
    assert_ok(sample_sequences(&automatic, &another, corpus, &request, err), *err);
    assert_int_equal(automatic.packed, 0);
    assert_memory_equal(automatic.ids, sample.ids, sequences * length * sizeof *sample.ids);
    free(automatic.ids);
    return status;
}

static void test_drawing_agrees_with_a_second_implementation(void **state)
{
    (void)state;
    struct corpus corpus = make_corpus(sizeof golden_counts / sizeof golden_counts[0], golden_counts);
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    int32_t *ids;

    assert_ok(by_documents(&ids, &tokenizer, &corpus, GOLDEN_SEQUENCES, GOLDEN_LENGTH, GOLDEN_SEED, &err),
              err);
    for (size_t i = 0; i < GOLDEN_SEQUENCES; i++) {
        for (size_t j = 0; j < GOLDEN_LENGTH; j++)
            assert_int_equal(ids[i * GOLDEN_LENGTH + j],
                             1000 * golden_draws[i].document + golden_draws[i].start + j);
    }
    free(ids);
    free_corpus(&corpus);
}

static void test_every_long_document_is_used_before_any_is_used_again(void **state)
{
    (void)state;
    const size_t counts[] = {5, 50, 11, 10, 12, 200, 3};
    const size_t long_ones = 4, length = 10, passes = 7; // longer than 10: documents 1, 2, 4 and 5
    struct corpus corpus = make_corpus(7, counts);
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    int32_t *ids;

    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_ok(by_documents(&ids, &tokenizer, &corpus, passes * long_ones, length, seed, &err), err);
        for (size_t pass = 0; pass < passes; pass++) {
            unsigned used = 0;
            for (size_t i = 0; i < long_ones; i++)
                used |= 1u << (ids[(pass * long_ones + i) * length] / 1000);
            assert_int_equal(used, 1u << 1 | 1u << 2 | 1u << 4 | 1u << 5);
        }
        free(ids);
    }
    free_corpus(&corpus);
}

static void test_documents_are_tokenised_once_each(void **state)
{
    (void)state;
    const size_t counts[] = {5, 50, 11};
    struct corpus corpus = make_corpus(3, counts);
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    int32_t *ids;

    assert_ok(by_documents(&ids, &tokenizer, &corpus, 100, 10, 0, &err), err);
    assert_int_equal(tokenizer.calls, 3);
    free(ids);
    free_corpus(&corpus);
}

// What does not stay in memory is tokenised once more for all its slices, and they are the same.
static void test_little_memory_gives_the_same_sequences(void **state)
{
    enum { DOCUMENTS = 5, SEQUENCES = 100, LENGTH = 10 };
    const size_t counts[DOCUMENTS] = {14, 40, 9, 12, 50}; // one is too short
    static const struct {
        size_t keep, calls;
    } cases[] = {{0, 5}, {1, 9}, {116, 5}, {115, 6}};
    struct corpus corpus = make_corpus(DOCUMENTS, counts);
    struct error err = {0};
    int32_t *wanted = NULL;
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct sample_request request = {SEQUENCES, LENGTH, 7, PACK_FALSE, cases[i].keep};
        struct tokenizer tokenizer = {0};
        struct sample sample;
        assert_ok(sample_sequences(&sample, &tokenizer, &corpus, &request, &err), err);
        assert_int_equal(tokenizer.calls, cases[i].calls);
        if (wanted == NULL)
            wanted = sample.ids;
        else
            assert_memory_equal(sample.ids, wanted, SEQUENCES * LENGTH * sizeof *wanted);
        if (sample.ids != wanted)
            free(sample.ids);
    }
    free(wanted);
    free_corpus(&corpus);
}

static void test_all_starts_occur_and_seeds_differ(void **state)
{
    (void)state;
    const size_t counts[] = {14};
    struct corpus corpus = make_corpus(1, counts);
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    int32_t *ids, *again, *other;
    unsigned starts = 0;

    assert_ok(by_documents(&ids, &tokenizer, &corpus, 200, 10, 5, &err), err);
    for (size_t i = 0; i < 200; i++)
        starts |= 1u << ids[i * 10];
    assert_int_equal(starts, 0x1f); // 14 - 10 + 1 of them; one is missed in 200 draws with probability 2e-19
    assert_ok(by_documents(&again, &tokenizer, &corpus, 200, 10, 5, &err), err);
    assert_memory_equal(ids, again, 200 * 10 * sizeof *ids);
    assert_ok(by_documents(&other, &tokenizer, &corpus, 200, 10, 6, &err), err);
    assert_memory_not_equal(ids, other, 200 * 10 * sizeof *ids);
    free(ids);
    free(again);
    free(other);
    free_corpus(&corpus);
}

static void test_documents_that_are_all_too_short_are_bad_input(void **state)
{
    (void)state;
    const size_t counts[] = {5, 10, 7};
    struct corpus corpus = make_corpus(3, counts);
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    int32_t *ids;

    assert_int_equal(by_documents(&ids, &tokenizer, &corpus, 1, 10, 0, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT,
                 "longer than a sequence of 10 tokens; the longest of its 3 documents has 10");
    assert_null(ids);
    assert_ok(by_documents(&ids, &tokenizer, &corpus, 1, 9, 0, &err), err);
    free(ids);
    free_corpus(&corpus);
}

static void test_senseless_requests_are_refused(void **state)
{
    (void)state;
    const size_t counts[] = {5};
    struct corpus corpus = make_corpus(1, counts);
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    int32_t *ids;
    size_t windows;

    assert_int_equal(by_documents(&ids, &tokenizer, &corpus, 0, 4, 0, &err), STATUS_USAGE);
    assert_int_equal(by_documents(&ids, &tokenizer, &corpus, 1, 0, 0, &err), STATUS_USAGE);
    assert_int_equal(by_documents(&ids, &tokenizer, &corpus, SIZE_MAX / 2, 3, 0, &err), STATUS_MEMORY);
    assert_int_equal(sample_windows(&ids, &windows, &tokenizer, &corpus, 0, &err), STATUS_USAGE);
    corpus.text[0] = '!';
    assert_int_equal(by_documents(&ids, &tokenizer, &corpus, 1, 4, 0, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "document 1 of the corpus: invalid text");
    free_corpus(&corpus);
}

// ---- packed sequences ---------------------------------------------------------------------------

static void test_packed_sequences_begin_where_a_second_implementation_says(void **state)
{
    (void)state;
    struct corpus corpus = make_corpus(sizeof golden_counts / sizeof golden_counts[0], golden_counts);
    const struct sample_request request = {GOLDEN_SEQUENCES, GOLDEN_LENGTH, GOLDEN_SEED, PACK_TRUE, 0};
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    struct sample sample;

    // Documents that are long enough are joined with the others when that is asked for.
    assert_ok(sample_sequences(&sample, &tokenizer, &corpus, &request, &err), err);
    assert_int_equal(tokenizer.calls, 1);
    assert_int_equal(sample.packed, corpus.count);
    assert_int_equal(sample.longest, 0);
    for (size_t i = 0; i < GOLDEN_SEQUENCES; i++)
        for (size_t j = 0; j < GOLDEN_LENGTH; j++) // the joined text begins with the letter 'a'
            assert_int_equal(sample.ids[i * GOLDEN_LENGTH + j], golden_starts[i] + j);
    free(sample.ids);
    free_corpus(&corpus);
}

static void test_documents_are_joined_by_themselves_only_where_none_is_long_enough(void **state)
{
    (void)state;
    const size_t counts[] = {5, 11, 7}; // 10 bytes at most; joined 4 + 2 + 10 + 2 + 6 bytes, 25 tokens
    struct corpus corpus = make_corpus(3, counts);
    struct sample_request request = {40, 10, 3, PACK_AUTO, 0};
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    struct sample sample, asked;

    assert_ok(sample_sequences(&sample, &tokenizer, &corpus, &request, &err), err);
    assert_int_equal(sample.packed, 0);
    for (size_t i = 0; i < 40; i++)
        assert_int_equal(sample.ids[10 * i] / 1000, 1); // of the one document that is longer
    free(sample.ids);

    request.length = 11;
    assert_ok(sample_sequences(&sample, &tokenizer, &corpus, &request, &err), err);
    assert_int_equal(sample.packed, 3);
    assert_int_equal(sample.longest, 11);
    assert_int_equal(encoded_size, 24);
    request.pack = PACK_TRUE;
    assert_ok(sample_sequences(&asked, &tokenizer, &corpus, &request, &err), err);
    assert_memory_equal(sample.ids, asked.ids, 40 * 11 * sizeof *asked.ids);
    free(sample.ids);
    free(asked.ids);

    request.pack = PACK_FALSE;
    assert_int_equal(sample_sequences(&sample, &tokenizer, &corpus, &request, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "of its 3 documents has 11; calibration.pack: true joins them");
    free_corpus(&corpus);
}

static void test_packed_sequences_begin_anywhere_but_at_the_last_place(void **state)
{
    (void)state;
    const size_t counts[] = {6, 6}; // joined 12 bytes, 13 tokens
    struct corpus corpus = make_corpus(2, counts);
    struct sample_request request = {200, 10, 0, PACK_AUTO, 0};
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    struct sample sample;
    unsigned starts = 0;

    assert_ok(sample_sequences(&sample, &tokenizer, &corpus, &request, &err), err);
    for (size_t i = 0; i < 200; i++)
        starts |= 1u << sample.ids[i * 10];
    assert_int_equal(starts, 0x7); // [0, 13 - 10), as the field has it; one is missed with probability 2e-35
    free(sample.ids);

    request.length = 13;
    assert_int_equal(sample_sequences(&sample, &tokenizer, &corpus, &request, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT,
                 "2 of the corpus's 2 documents, joined, have 13 tokens: a sequence of 13 needs more");
    assert_null(sample.ids);
    free_corpus(&corpus);
}

// A document of 1 KiB with its separator, again and again.
static struct corpus make_large_corpus(size_t documents)
{
    const size_t bytes = 1022;
    struct corpus corpus = {.count = documents, .text = malloc(documents * bytes)};

    corpus.offsets = calloc(documents + 1, sizeof *corpus.offsets);
    assert_non_null(corpus.offsets);
    assert_non_null(corpus.text);
    memset(corpus.text, 'a', documents * bytes);
    for (size_t i = 0; i <= documents; i++)
        corpus.offsets[i] = i * bytes;
    return corpus;
}

static void test_a_part_of_a_large_corpus_is_joined(void **state)
{
    (void)state;
    enum { KIB = 1024 };
    struct corpus corpus = make_large_corpus(24 * KIB);
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    struct sample sample;
    // 16 MiB, then 8 bytes for each token that is asked for, in pieces of 32 for each token of a sequence.
    static const struct {
        size_t sequences, length, documents;
    } cases[] = {{1, 64, 16 * KIB}, {4, 3072 * 32, 3072 * 6}, {1100, 2048, 64 * 275}, {1600, 2048, 24 * KIB}};

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const struct sample_request request = {cases[c].sequences, cases[c].length, 5, PACK_TRUE, 0};
        assert_ok(sample_sequences(&sample, &tokenizer, &corpus, &request, &err), err);
        assert_int_equal(sample.packed, cases[c].documents);
        assert_int_equal(encoded_size, cases[c].documents * KIB - 2);
        free(sample.ids);
    }
    free_corpus(&corpus);
}

// ---- evaluation windows -------------------------------------------------------------------------

static void test_windows_cut_the_joined_documents_without_overlap(void **state)
{
    (void)state;
    struct corpus corpus = {.count = 4, .text = (char[]){"abcde"}, .offsets = (size_t[]){0, 2, 2, 4, 5}};
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    int32_t *ids;
    size_t windows;

    // "ab", "", "cd", "e" with two newlines between: 11 bytes, 12 tokens.
    assert_ok(sample_windows(&ids, &windows, &tokenizer, &corpus, 5, &err), err);
    assert_string_equal(encoded_text, "ab\n\n\n\ncd\n\ne");
    assert_int_equal(tokenizer.calls, 1);
    assert_int_equal(windows, 2);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ids[i], i); // the leading special token is the first of the first window only
    free(ids);

    assert_ok(sample_windows(&ids, &windows, &tokenizer, &corpus, 12, &err), err);
    assert_int_equal(windows, 1);
    free(ids);
    assert_int_equal(sample_windows(&ids, &windows, &tokenizer, &corpus, 13, &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "the text has 12 tokens, less than one window of 13");
    assert_null(ids);
}

static void test_one_document_is_not_changed_by_joining(void **state)
{
    (void)state;
    struct corpus corpus = {.count = 1, .text = (char[]){"abc"}, .offsets = (size_t[]){0, 3}};
    struct tokenizer tokenizer = {0};
    struct error err = {0};
    int32_t *ids;
    size_t windows;

    assert_ok(sample_windows(&ids, &windows, &tokenizer, &corpus, 2, &err), err);
    assert_string_equal(encoded_text, "abc");
    assert_int_equal(windows, 2);
    free(ids);
}

static void test_ids_outside_the_vocabulary_are_named(void **state)
{
    (void)state;
    const int32_t ids[] = {0, 9, 10, -1};
    struct error err = {0};

    assert_ok(sample_check(ids, 2, 10, "tokens.h5", &err), err);
    assert_int_equal(sample_check(ids, 4, 10, "tokens.h5", &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT,
                 "tokens.h5: token id 10 at position 2 is outside the model's vocabulary of 10");
    assert_int_equal(sample_check(ids, 4, 11, "tokens.h5", &err), STATUS_INPUT);
    assert_error(err, STATUS_INPUT, "token id -1 at position 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generator_gives_the_published_numbers),
        cmocka_unit_test(test_bounded_numbers_are_below_and_even),
        cmocka_unit_test(test_drawing_agrees_with_a_second_implementation),
        cmocka_unit_test(test_every_long_document_is_used_before_any_is_used_again),
        cmocka_unit_test(test_documents_are_tokenised_once_each),
        cmocka_unit_test(test_little_memory_gives_the_same_sequences),
        cmocka_unit_test(test_all_starts_occur_and_seeds_differ),
        cmocka_unit_test(test_documents_that_are_all_too_short_are_bad_input),
        cmocka_unit_test(test_senseless_requests_are_refused),
        cmocka_unit_test(test_packed_sequences_begin_where_a_second_implementation_says),
        cmocka_unit_test(test_documents_are_joined_by_themselves_only_where_none_is_long_enough),
        cmocka_unit_test(test_packed_sequences_begin_anywhere_but_at_the_last_place),
        cmocka_unit_test(test_a_part_of_a_large_corpus_is_joined),
        cmocka_unit_test(test_windows_cut_the_joined_documents_without_overlap),
        cmocka_unit_test(test_one_document_is_not_changed_by_joining),
        cmocka_unit_test(test_ids_outside_the_vocabulary_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
