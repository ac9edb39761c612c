#include "io/tokenizer/model/cache.h"

#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

// About 3 MB, twice as many slots as words.
enum { SLOTS = 1 << 16, WORDS = SLOTS / 2, BYTES = 16 * WORDS, IDS = 6 * WORDS };

struct entry {
    uint64_t hash;
    uint32_t bytes; // where the word begins in `bytes`
    uint32_t ids;   // where its ids begin in `ids`
    uint16_t size;  // of the word; 0 for a free slot
    uint16_t count; // of ids
};

struct word_cache {
    struct entry slots[SLOTS]; // open addressing
    size_t words;
    size_t bytes_used;
    size_t ids_used;
    char bytes[BYTES];
    int32_t ids[IDS];
};

enum status word_cache_new(struct word_cache **cache, struct error *err)
{
    return allocate(cache, 1, sizeof **cache, "a cache of words", err);
}

void word_cache_free(struct word_cache *cache)
{
    free(cache);
}

bool word_cache_find(const struct word_cache *cache, const char *word, size_t size, uint64_t *hash,
                     const int32_t **ids, size_t *count)
{
    *hash = XXH3_64bits(word, size);
    for (size_t slot = *hash % SLOTS; cache->slots[slot].size != 0; slot = (slot + 1) % SLOTS) {
        const struct entry *entry = &cache->slots[slot];
        if (entry->hash == *hash && entry->size == size &&
            memcmp(cache->bytes + entry->bytes, word, size) == 0) {
            *ids = cache->ids + entry->ids;
            *count = entry->count;
            return true;
        }
    }
    return false;
}

void word_cache_add(struct word_cache *cache, uint64_t hash, const char *word, size_t size,
                    const int32_t *ids, size_t count)
{
    size_t slot = hash % SLOTS;

    if (cache->words == WORDS || size > BYTES - cache->bytes_used || count > IDS - cache->ids_used) {
        memset(cache->slots, 0, sizeof cache->slots);
        cache->words = 0;
        cache->bytes_used = 0;
        cache->ids_used = 0;
    }
    while (cache->slots[slot].size != 0)
        slot = (slot + 1) % SLOTS;
    cache->slots[slot] = (struct entry){.hash = hash,
                                        .bytes = (uint32_t)cache->bytes_used,
                                        .ids = (uint32_t)cache->ids_used,
                                        .size = (uint16_t)size,
                                        .count = (uint16_t)count};
    memcpy(cache->bytes + cache->bytes_used, word, size);
    if (count > 0) // ids may be NULL
        memcpy(cache->ids + cache->ids_used, ids, count * sizeof *ids);
    cache->bytes_used += size;
    cache->ids_used += count;
    cache->words++;
}
