// tokenizer_ids - prints the ids of texts, for scripts that compare them with another tokenizer's.
//
//     tokenizer_ids TOKENIZER.JSON [--special | --time] < texts > ids
//
// Reads any number of texts, each a length in ASCII digits, a newline, and so many bytes; writes for each a
// line of ids separated by spaces, or "error: " and the message. --special adds the special tokens of the
// template. --time prints one line instead, when all texts are done: processor seconds that encoding them
// took, and how many ids there were.
#include "io/tokenizer/tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void print_ids(const int32_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        printf(i > 0 ? " %" PRId32 : "%" PRId32, ids[i]);
    putchar('\n');
    fflush(stdout);
}

static int encode_all(struct tokenizer *tokenizer, bool special, bool timed)
{
    size_t size, total = 0;
    clock_t taken = 0;

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
        const clock_t start = clock();
        if (tokenizer_encode(tokenizer, text, size, special, &ids, &count, &err) != STATUS_OK)
            printf("error: %s", err.message);
        taken += clock() - start;
        total += count;
        if (!timed)
            print_ids(ids, count);
        free(ids);
        free(text);
    }
    if (timed)
        printf("%.6f %zu\n", (double)taken / CLOCKS_PER_SEC, total);
    return feof(stdin) ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    struct tokenizer *tokenizer = NULL;
    struct error err = {0};
    int result;

    const char *option = argc == 3 ? argv[2] : "";
    if (argc < 2 || argc > 3 ||
        (argc == 3 && strcmp(option, "--special") != 0 && strcmp(option, "--time") != 0)) {
        fprintf(stderr, "usage: tokenizer_ids TOKENIZER.JSON [--special | --time] < texts\n");
        return 2;
    }
    if (tokenizer_load(&tokenizer, argv[1], &err) != STATUS_OK) {
        fprintf(stderr, "tokenizer_ids: %s\n", err.message);
        return EXIT_FAILURE;
    }
    result = encode_all(tokenizer, strcmp(option, "--special") == 0, strcmp(option, "--time") == 0);
    tokenizer_free(tokenizer);
    return result;
}
