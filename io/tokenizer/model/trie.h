// trie.h - strings as a tree of their bytes, to find all of them that a text begins with in one walk.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <stdint.h>

struct trie; // opaque

struct trie_entry {
    struct slice string;
    int32_t value; // not negative
};

// Sorts the entries. Of equal strings the last one counts; empty ones are left out. The strings are not kept.
// Freed with trie_free.
enum status trie_new(struct trie **trie, struct trie_entry *entries, size_t count, struct error *err);
void trie_free(struct trie *trie); // NULL is fine

enum { TRIE_ROOT = 0 };
#define TRIE_NOWHERE UINT32_MAX

// The node that one more byte leads to, or TRIE_NOWHERE.
uint32_t trie_step(const struct trie *trie, uint32_t node, unsigned char byte);
// The value of the string that ends at the node, or -1.
int32_t trie_value(const struct trie *trie, uint32_t node);
