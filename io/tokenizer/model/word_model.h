// word_model.h - the "model" of tokenizer.json: a word becomes ids by one of bpe.h, unigram.h and
// word_piece.h.
#pragma once
#include "io/tokenizer/model/vocabulary.h"
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>

struct word_model; // opaque

// value is the member "model"; without "type" it is BPE, as in the oldest files. Other types are refused by
// name. Freed with word_model_free.
enum status word_model_from_json(struct word_model **model, const json_t *value, struct error *err);
void word_model_free(struct word_model *model); // NULL is fine

const struct vocabulary *word_model_vocabulary(const struct word_model *model);

// Appends the ids of one word to ids.
enum status word_model_encode(struct word_model *model, const char *word, size_t size, struct ids *ids,
                              struct error *err);
