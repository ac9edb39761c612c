// tokenizer_ids - prints the ids of texts, for scripts that compare them with another tokenizer's.
//
//     tokenizer_ids TOKENIZER.JSON [--special] < texts > ids
//
// Reads any number of texts, each a length in ASCII digits, a newline, and so many bytes; writes for each a
// line of ids separated by spaces, or "error: " and the message. --special adds the special tokens of the
// template.
#include "io/tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int encode_all(struct tokenizer *tokenizer, bool special)
{
    size_t size;

    while (scanf("%zu", &size) == 1 && getchar() == '\n') {
        struct error err = {0};
        int32_t *ids = NULL;
        size_t count = 0;
        char *text = malloc(size + 1);

        if (text == NULL || fread(text, 1, size, stdin) != size) {
            fprintf(stderr, "tokenizer_ids: a text of %zu bytes is cut off\n", size);
            free(text);
            return EXIT_FAILURE;
        }
        if (tokenizer_encode(tokenizer, text, size, special, &ids, &count, &err) != STATUS_OK)
            printf("error: %s", err.message);
        for (size_t i = 0; i < count; i++)
            printf(i > 0 ? " %" PRId32 : "%" PRId32, ids[i]);
        putchar('\n');
        fflush(stdout);
        free(ids);
        free(text);
    }
    return feof(stdin) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct tokenizer *tokenizer = NULL;
    struct error err = {0};
    int result;

    if (argc < 2 || argc > 3 || (argc == 3 && strcmp(argv[2], "--special") != 0)) {
        fprintf(stderr, "usage: tokenizer_ids TOKENIZER.JSON [--special] < texts\n");
        return 2;
    }
    if (tokenizer_load(&tokenizer, argv[1], &err) != STATUS_OK) {
        fprintf(stderr, "tokenizer_ids: %s\n", err.message);
        return EXIT_FAILURE;
    }
    result = encode_all(tokenizer, argc == 3);
    tokenizer_free(tokenizer);
    return result;
}
