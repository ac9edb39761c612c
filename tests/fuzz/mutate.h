// mutate.h - changed copies of small files, the same ones each time.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct words {
    size_t count;
    char (*texts)[64]; // [count]
    size_t *sizes;     // [count]
};
// Those of a dictionary in libFuzzer's form; freed with words_free.
void words_read(struct words *words, const char *path);
void words_free(struct words *words);

// One to four edits of buffer[size], which has room[room]: bytes changed, removed, doubled, words put in,
// numbers replaced. state: of the random numbers, not 0. Returns the new size.
size_t mutate(uint8_t *buffer, size_t size, size_t room, const struct words *words, uint64_t *state);
// Removes what begins with a quote or bracket at buffer[at] and ends before the next comma or bracket outside
// of it: of JSON a member or an element, and the comma. Returns the new size; the old one where nothing
// begins.
size_t remove_member(uint8_t *buffer, size_t size, size_t at);
