// normalizer.h - the "normalizer" of tokenizer.json: it changes the text before it is cut.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>

struct normalizer; // opaque

// value is the member "normalizer", null for none. Knows Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD,
// Lowercase, Strip, StripAccents, Nmt, ByteLevel, BertNormalizer and Precompiled; others are refused by name.
// Freed with normalizer_free.
enum status normalizer_from_json(struct normalizer **normalizer, const json_t *value, struct error *err);
void normalizer_free(struct normalizer *normalizer); // NULL is fine

// Replaces text by its normalised form; scratch is memory to work in. NULL normalizer changes nothing.
enum status normalizer_apply(const struct normalizer *normalizer, struct text *text, struct text *scratch,
                             struct error *err);
