// vocabulary.h - the tokens of a model and their ids.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct vocabulary; // opaque

// value is the member "vocab" of the model: token -> id, no id twice. Freed with vocabulary_free.
enum status vocabulary_from_json(struct vocabulary **vocabulary, const json_t *value, struct error *err);

// The same for a list, whose items are [token, …]: their places are the ids. Of equal tokens the last one is
// found.
enum status vocabulary_from_list(struct vocabulary **vocabulary, const json_t *value, struct error *err);
void vocabulary_free(struct vocabulary *vocabulary); // NULL is fine

size_t vocabulary_count(const struct vocabulary *vocabulary); // tokens
size_t vocabulary_bound(const struct vocabulary *vocabulary); // largest id + 1

// The token with this id, which belongs to the vocabulary; false if there is none.
bool vocabulary_token(const struct vocabulary *vocabulary, int32_t id, struct slice *token);

// The id of a token, or -1.
int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *bytes, size_t size);

// The id of the token that is this one character, or -1: a look-up in a table.
int32_t vocabulary_find_character(const struct vocabulary *vocabulary, uint32_t code_point);
