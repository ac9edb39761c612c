// cache.h - the ids of words that came before. Bounded: when it is full it begins anew.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

struct word_cache; // opaque

enum { WORD_CACHE_LONGEST = 128 }; // bytes of a word; longer ones seldom come again

enum status word_cache_new(struct word_cache **cache, struct error *err);
void word_cache_free(struct word_cache *cache); // NULL is fine

// Finds the word's ids, which belong to the cache until the next call. word has at most WORD_CACHE_LONGEST
// bytes. *hash is for word_cache_add.
bool word_cache_find(const struct word_cache *cache, const char *word, size_t size, uint64_t *hash,
                     const int32_t **ids, size_t *count);

// Keeps a word that word_cache_find did not find.
void word_cache_add(struct word_cache *cache, uint64_t hash, const char *word, size_t size,
                    const int32_t *ids, size_t count);
