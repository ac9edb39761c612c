// model_logits - prints the logits that a model computes, for scripts that compare them with another
// program's.
//
//     model_logits MODEL < ids > logits
//
// Reads token ids in ASCII, one sequence; writes float32 [tokens, vocab_size] in the byte order of the
// machine.
#include "io/model/open.h"
#include "tests/support/whole_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST_TOKENS = 1 << 20 };

static int fail(const char *message)
{
    fprintf(stderr, "model_logits: %s\n", message);
    return EXIT_FAILURE;
}

static int write_logits(const struct model *model, const int32_t *ids, size_t tokens)
{
    struct error err = {0};
    float *hidden = NULL, *logits = NULL;
    enum status status = whole_model_hidden(&hidden, model, ids, tokens, &err);
    int result = EXIT_SUCCESS;

    if (status == STATUS_OK)
        status = whole_model_logits(&logits, model, hidden, tokens, &err);
    if (status != STATUS_OK)
        result = fail(err.message);
    else if (fwrite(logits, sizeof *logits * model->config.vocab_size, tokens, stdout) != tokens ||
             fflush(stdout) != 0)
        result = fail("standard output cannot be written");
    free(logits);
    free(hidden);
    return result;
}

int main(int argc, char **argv)
{
    struct model *model;
    struct error err = {0};
    size_t tokens = 0;

    if (argc != 2) {
        fprintf(stderr, "usage: model_logits MODEL < ids > logits\n");
        return 2;
    }
    if (model_open(&model, argv[1], &err) != STATUS_OK)
        return fail(err.message);
    int32_t *ids = calloc(MOST_TOKENS, sizeof *ids);
    if (ids == NULL)
        return fail("out of memory");
    while (tokens < MOST_TOKENS && scanf("%" SCNd32, &ids[tokens]) == 1) {
        if (ids[tokens] < 0 || (size_t)ids[tokens] >= model->config.vocab_size)
            return fail("an id is outside the vocabulary");
        tokens++;
    }
    const int result =
        feof(stdin) ? write_logits(model, ids, tokens) : fail("the ids are no list of numbers");
    free(ids);
    model_close(model);
    return result;
}
