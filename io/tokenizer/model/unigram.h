// unigram.h - the unigram language model of SentencePiece: the "model" of type "Unigram".
//
// Every token has a score, its log probability. A word becomes the row of tokens with the largest sum of
// scores (Kudo, 2018), found by dynamic programming from left to right. A character that is no token is
// unknown, at the lowest score of the vocabulary less 10; neighbours that are unknown become one.
#pragma once
#include "io/tokenizer/model/vocabulary.h"
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>

struct unigram; // opaque

// value is the member "model". Freed with unigram_free.
enum status unigram_from_json(struct unigram **unigram, const json_t *value, struct error *err);
void unigram_free(struct unigram *unigram); // NULL is fine

const struct vocabulary *unigram_vocabulary(const struct unigram *unigram);

// Appends the ids of one word to ids, in time linear in its size and the longest token. STATUS_INPUT for an
// unknown character when the model has no unk_id.
enum status unigram_encode(struct unigram *unigram, const char *word, size_t size, struct ids *ids,
                           struct error *err);
