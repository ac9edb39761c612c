#include "tests/fuzz/mutate.h"

#include "tests/fuzz/promise.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// "\x41\\\"" between quotes; false: the line has no word.
static bool read_word(char *text, size_t *size, const char *line)
{
    const char *at = strchr(line, '"');

    *size = 0;
    if (line[0] == '#' || at++ == NULL)
        return false;
    while (*at != '"' && *at != '\0' && *size < 64) {
        unsigned code = (unsigned char)*at++;
        if (code == '\\' && *at == 'x' && sscanf(at + 1, "%2x", &code) == 1)
            at += 3;
        else if (code == '\\')
            code = (unsigned char)*at++;
        text[(*size)++] = (char)code;
    }
    return *size > 0;
}

void words_read(struct words *words, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[512];

    *words = (struct words){0};
    PROMISE(file != NULL);
    while (fgets(line, sizeof line, file) != NULL) {
        words->texts = realloc(words->texts, (words->count + 1) * sizeof *words->texts);
        words->sizes = realloc(words->sizes, (words->count + 1) * sizeof *words->sizes);
        PROMISE(words->texts != NULL && words->sizes != NULL);
        words->count += read_word(words->texts[words->count], &words->sizes[words->count], line);
    }
    fclose(file);
}

void words_free(struct words *words)
{
    free(words->texts);
    free(words->sizes);
}

// xorshift64 (Marsaglia 2003).
static size_t below(uint64_t *state, size_t bound)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return bound > 0 ? (size_t)(*state >> 11) % bound : 0;
}

// buffer[at, at + old) <- text[size], where there is room.
static size_t replace(uint8_t *buffer, size_t total, size_t room, size_t at, size_t old, const void *text,
                      size_t size)
{
    if (total - old + size > room)
        return total;
    memmove(buffer + at + size, buffer + at + old, total - at - old);
    if (size > 0)
        memcpy(buffer + at, text, size);
    return total - old + size;
}

static size_t replace_number(uint8_t *buffer, size_t size, size_t room, uint64_t *state)
{
    static const char *const numbers[] = {
        "0",   "-1",  "1",    "4294967296", "9223372036854775807", "18446744073709551616",
        "1.5", "1e9", "-0.0", "1e308",      "2147483648",          "65536"};
    const char *number = numbers[below(state, sizeof numbers / sizeof *numbers)];
    size_t at = below(state, size), end;

    while (at < size && !isdigit(buffer[at]))
        at++;
    for (end = at; end < size && (isdigit(buffer[end]) || buffer[end] == '.'); end++)
        ;
    return end > at ? replace(buffer, size, room, at, end - at, number, strlen(number)) : size;
}

size_t remove_member(uint8_t *buffer, size_t size, size_t at)
{
    size_t end = at;

    if (at >= size || buffer[at] == '\0' || strchr("\"{[", buffer[at]) == NULL)
        return size;
    for (int depth = 0;
         end < size && (depth > 0 || buffer[end] == '\0' || strchr(",}]", buffer[end]) == NULL); end++)
        depth += buffer[end] == '{' || buffer[end] == '['   ? 1
                 : buffer[end] == '}' || buffer[end] == ']' ? -1
                                                            : 0;
    end += end < size && buffer[end] == ',';
    return replace(buffer, size, size, at, end - at, NULL, 0);
}

static size_t edit(uint8_t *buffer, size_t size, size_t room, const struct words *words, uint64_t *state)
{
    const size_t at = below(state, size), span = 1 + below(state, size - at < 16 ? size - at : 16);
    const size_t word = below(state, words->count);
    uint8_t copy[16];

    switch (below(state, 7)) {
    case 0:
        buffer[at] = (uint8_t)below(state, 256);
        return size;
    case 1:
        buffer[at] ^= (uint8_t)(1U << below(state, 8));
        return size;
    case 2:
        return replace(buffer, size, room, at, span <= size - at ? span : 1, NULL, 0);
    case 3:
        if (span > size - at)
            return size;
        memcpy(copy, buffer + at, span);
        return replace(buffer, size, room, below(state, size), 0, copy, span);
    case 4:
        return replace_number(buffer, size, room, state);
    case 5:
        return remove_member(buffer, size, at);
    default:
        return words->count == 0 ? size
                                 : replace(buffer, size, room, at, 0, words->texts[word], words->sizes[word]);
    }
}

size_t mutate(uint8_t *buffer, size_t size, size_t room, const struct words *words, uint64_t *state)
{
    for (size_t edits = 1 + below(state, 4); edits > 0 && size > 0; edits--)
        size = edit(buffer, size, room, words, state);
    return size;
}
