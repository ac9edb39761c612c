// tokenizer.json from a stranger, and texts that it encodes.
#include "io/tokenizer/tokenizer.h"
#include "tests/fuzz/parsers.h"
#include "tests/fuzz/promise.h"

#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {
    "",
    "Hello, world! 123 it's  a\ttest\n\n",
    " \xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80 \xcc\x81<s>A\xc2\xa0"
    "b\xe2\x80\x8d",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa    . . .",
};

bool fuzz_tokenizer(const uint8_t *data, size_t size)
{
    struct tokenizer *tokenizer;
    struct error err = {0};

    const char *path = work_file("tokenizer.json", data, size);
    if (!OUTCOME(tokenizer_load(&tokenizer, path, &err), err, MAY(STATUS_INPUT)))
        return false;
    const size_t vocabulary = tokenizer_vocabulary_size(tokenizer);
    for (size_t i = 0; i < 2 * (sizeof texts / sizeof *texts); i++) {
        int32_t *ids = NULL;
        size_t count = 0;
        const char *text = texts[i / 2];
        if (!OUTCOME(tokenizer_encode(tokenizer, text, strlen(text), i % 2, &ids, &count, &err), err,
                     MAY(STATUS_INPUT)))
            continue;
        for (size_t k = 0; k < count; k++)
            PROMISE(ids[k] >= 0 && (size_t)ids[k] < vocabulary);
        free(ids);
    }
    tokenizer_free(tokenizer);
    return true;
}
