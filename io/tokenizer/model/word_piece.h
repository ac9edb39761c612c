// word_piece.h - the "model" of type "WordPiece": from left to right the longest token that fits, where
// tokens that do not begin the word have a prefix; a word that cannot be written so is unknown as a whole.
#pragma once
#include "io/tokenizer/model/vocabulary.h"
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>

struct word_piece; // opaque

// value is the member "model". Freed with word_piece_free.
enum status word_piece_from_json(struct word_piece **word_piece, const json_t *value, struct error *err);
void word_piece_free(struct word_piece *word_piece); // NULL is fine

const struct vocabulary *word_piece_vocabulary(const struct word_piece *word_piece);

// Appends the ids of one word to ids, in time linear in its size and the longest token. STATUS_INPUT for an
// unknown word when unk_token is no token.
enum status word_piece_encode(struct word_piece *word_piece, const char *word, size_t size, struct ids *ids,
                              struct error *err);
