// sample.h with real tokenizers: sequences of a text in WikiText's format, packed, are those that
// transformers' tokenizers and a second implementation of the draw give.
#include "io/corpus/sample.h"
#include "tests/golden/packed.h"
#include "tests/support/temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct tokenizer *load_tokenizer(const char *name)
{
    const char *source = getenv("COPPICE_SOURCE"); // by hand: from the source's folder
    struct tokenizer *tokenizer;
    struct error err = {0};
    char path[4096];

    snprintf(path, sizeof path, "%s/tests/golden/tokenizer/%s.json", source != NULL ? source : ".", name);
    assert_ok(tokenizer_load(&tokenizer, path, &err), err);
    return tokenizer;
}

static void packed_sequences_are_those_of_transformers(void **state)
{
    char *folder = temporary_folder_create();
    struct corpus *corpus;
    struct error err = {0};
    (void)state;

    assert_ok(corpus_load(&corpus, write_text(folder, "wiki.raw", golden_text), &err), err);
    for (size_t t = 0; t < sizeof golden_packed / sizeof *golden_packed; t++) {
        struct tokenizer *tokenizer = load_tokenizer(golden_packed[t].tokenizer);
        struct sample_request request = {GOLDEN_SEQUENCES, GOLDEN_LENGTH, GOLDEN_SEED, PACK_TRUE, 0};
        struct sample sample;

        assert_ok(sample_sequences(&sample, tokenizer, corpus, &request, &err), err);
        assert_int_equal(sample.packed, corpus->count);
        assert_memory_equal(sample.ids, golden_packed[t].ids, sizeof golden_packed[t].ids);
        free(sample.ids);

        // One token less than there are is the longest sequence; it begins at the first one.
        request = (struct sample_request){1, golden_packed[t].tokens - 1, 0, PACK_TRUE, 0};
        assert_ok(sample_sequences(&sample, tokenizer, corpus, &request, &err), err);
        free(sample.ids);
        request.length++;
        assert_int_equal(sample_sequences(&sample, tokenizer, corpus, &request, &err), STATUS_INPUT);
        assert_null(sample.ids);
        tokenizer_free(tokenizer);
    }
    corpus_free(corpus);
    temporary_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_sequences_are_those_of_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
