// pre_tokenizer.h - the "pre_tokenizer" of tokenizer.json: cuts text into the words that the model sees.
#pragma once
#include "io/tokenizer/pre_tokenizer_steps.h"
#include "kernels/error.h"
#include <jansson.h>

struct pre_tokenizer; // opaque

// value is the member "pre_tokenizer", null for none. Knows Sequence, ByteLevel, Split, Metaspace, Digits,
// Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit and BertPreTokenizer; others are refused by
// name. Freed with pre_tokenizer_free.
enum status pre_tokenizer_from_json(struct pre_tokenizer **pre_tokenizer, const json_t *value,
                                    struct error *err);
void pre_tokenizer_free(struct pre_tokenizer *pre_tokenizer); // NULL is fine

// Cuts text, whose pieces are given (one for the whole), into pieces; both may be rewritten. NULL
// pre_tokenizer changes nothing.
enum status pre_tokenizer_apply(const struct pre_tokenizer *pre_tokenizer, struct text *text,
                                struct pieces *pieces, struct pre_tokenizer_work *work, struct error *err);
