// pack.h: which documents are joined, and how.
#include "io/corpus/pack.h"
#include "tests/golden/sample.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// A corpus whose document i has sizes[i] bytes, all of them the letter 'A' + i.
static struct corpus make_corpus(size_t documents, const size_t *sizes)
{
    struct corpus corpus = {.count = documents, .offsets = calloc(documents + 1, sizeof *corpus.offsets)};

    assert_non_null(corpus.offsets);
    for (size_t i = 0; i < documents; i++)
        corpus.offsets[i + 1] = corpus.offsets[i] + sizes[i];
    corpus.text = malloc(corpus.offsets[documents] + 1);
    assert_non_null(corpus.text);
    for (size_t i = 0; i < documents; i++)
        memset(corpus.text + corpus.offsets[i], 'A' + (int)i, sizes[i]);
    return corpus;
}

static void free_corpus(struct corpus *corpus)
{
    free(corpus->text);
    free(corpus->offsets);
}

// The oracle: the documents that `joined` says, a byte after the other.
static void assert_joined(const struct packed_text *packed, const struct corpus *corpus, const bool *joined)
{
    char expected[1024];
    size_t size = 0, documents = 0;

    for (size_t i = 0; i < corpus->count; i++) {
        if (!joined[i])
            continue;
        if (documents++ > 0) {
            expected[size++] = '\n';
            expected[size++] = '\n';
        }
        for (size_t at = corpus->offsets[i]; at < corpus->offsets[i + 1]; at++)
            expected[size++] = corpus->text[at];
    }
    assert_int_equal(packed->documents, documents);
    assert_int_equal(packed->size, size);
    assert_memory_equal(packed->text, expected, size);
}

static void a_corpus_is_joined_whole_without_limits_or_within_them(void **state)
{
    const size_t sizes[] = {2, 0, 2, 1, 0};
    const bool all[] = {true, true, true, true, true};
    const struct pack_limits limits = {1, 5 + 2 * 5};
    struct corpus corpus = make_corpus(5, sizes);
    struct generator generator, untouched;
    struct packed_text packed;
    struct error err = {0};
    (void)state;

    assert_ok(pack_documents(&packed, &corpus, NULL, NULL, &err), err);
    assert_joined(&packed, &corpus, all);
    assert_memory_equal(packed.text, "AA\n\n\n\nCC\n\nD\n\n", 13);
    pack_free(&packed);

    generator_seed(&generator, 1);
    untouched = generator;
    assert_ok(pack_documents(&packed, &corpus, &limits, &generator, &err), err);
    assert_joined(&packed, &corpus, all);
    assert_memory_equal(&generator, &untouched, sizeof generator);
    pack_free(&packed);
    free_corpus(&corpus);
}

static void pieces_of_a_large_corpus_agree_with_a_second_implementation(void **state)
{
    const struct pack_limits limits = {GOLDEN_PIECE, GOLDEN_ENOUGH};
    struct corpus corpus = make_corpus(GOLDEN_DOCUMENTS, golden_sizes);
    struct packed_text packed;
    struct error err = {0};
    (void)state;

    for (size_t seed = 0; seed < sizeof golden_joined / sizeof *golden_joined; seed++) {
        struct generator generator;
        generator_seed(&generator, seed);
        assert_ok(pack_documents(&packed, &corpus, &limits, &generator, &err), err);
        assert_joined(&packed, &corpus, golden_joined[seed]);
        pack_free(&packed);
    }
    free_corpus(&corpus);
}

// However little is enough, or however much a piece is, there is one.
static void at_least_one_piece_is_joined(void **state)
{
    const size_t sizes[] = {3, 4, 5};
    const struct pack_limits limits[] = {{1, 1}, {18 - 1, 1}, {SIZE_MAX, 17}};
    struct corpus corpus = make_corpus(3, sizes);
    (void)state;

    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        struct generator generator;
        struct packed_text packed;
        struct error err = {0};
        generator_seed(&generator, 7);
        assert_ok(pack_documents(&packed, &corpus, &limits[i], &generator, &err), err);
        assert_int_equal(packed.documents, i == 0 ? 1 : 3);
        pack_free(&packed);
    }
    free_corpus(&corpus);
}

static void one_document_is_not_copied(void **state)
{
    const size_t sizes[] = {300};
    const struct pack_limits limits = {10, 20};
    struct corpus corpus = make_corpus(1, sizes);
    struct packed_text packed;
    struct error err = {0};
    (void)state;

    assert_ok(pack_documents(&packed, &corpus, &limits, NULL, &err), err);
    assert_ptr_equal(packed.text, corpus.text);
    assert_int_equal(packed.size, 300);
    assert_int_equal(packed.documents, 1);
    pack_free(&packed);
    free_corpus(&corpus);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_corpus_is_joined_whole_without_limits_or_within_them),
        cmocka_unit_test(pieces_of_a_large_corpus_agree_with_a_second_implementation),
        cmocka_unit_test(at_least_one_piece_is_joined),
        cmocka_unit_test(one_document_is_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
