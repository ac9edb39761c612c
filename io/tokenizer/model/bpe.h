// bpe.h - byte-pair encoding: the "model" of type "BPE".
//
// A word is a row of symbols, at first its characters. Again and again the pair of neighbours with the lowest
// rank (the leftmost of equals) becomes one symbol, until no pair has a rank (Sennrich et al., 2016). With an
// `end_of_word_suffix` ("</w>") the last character and the suffix are one symbol.
#pragma once
#include "io/tokenizer/model/vocabulary.h"
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>

struct bpe; // opaque

// value is the member "model". Dropout and prefixes of subwords are refused by name.
// Freed with bpe_free.
enum status bpe_from_json(struct bpe **bpe, const json_t *value, struct error *err);
void bpe_free(struct bpe *bpe); // NULL is fine

const struct vocabulary *bpe_vocabulary(const struct bpe *bpe);

// Appends the ids of one word to ids. Time is that of merges_apply.
enum status bpe_encode(struct bpe *bpe, const char *word, size_t size, struct ids *ids, struct error *err);
