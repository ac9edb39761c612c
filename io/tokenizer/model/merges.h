// merges.h - the merges of a BPE model, and what they do to a row of symbols.
#pragma once
#include "io/tokenizer/model/merge_queue.h"
#include "io/tokenizer/model/vocabulary.h"
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct merges; // opaque

// value is the member "merges" of the model, in the order of their ranks: strings "left right" or pairs of
// strings. Each of left, right and both together must be in the vocabulary. Freed with merges_free.
enum status merges_from_json(struct merges **merges, const json_t *value, const struct vocabulary *vocabulary,
                             struct error *err);
void merges_free(struct merges *merges); // NULL is fine

// False if no merge can ever join a symbol that ends with the character left to one that begins with right:
// then a word can be cut between them, and its parts encoded by themselves, without any change in the ids.
bool merges_may_join(const struct merges *merges, uint32_t left, uint32_t right);

// Memory to merge in, reused from word to word. Begin with {0}; freed with merge_work_free.
struct merge_work {
    int32_t *symbols;
    size_t symbol_capacity;
    size_t count;
    uint32_t *next; // index of the symbol to the right, MERGE_NONE for none
    size_t next_capacity;
    uint32_t *previous;
    size_t previous_capacity;
    struct merge_queue queue;
};
void merge_work_free(struct merge_work *work);

// Merges the `count` symbols of work in place; count becomes what is left. At most 2^32 - 2 symbols, else
// STATUS_INPUT. O(n log r) for r ranks, but for rare cases (merge_queue.h) O(n log n).
enum status merges_apply(const struct merges *merges, struct merge_work *work, struct error *err);
