// pre_tokenizer.h - the "pre_tokenizer" of tokenizer.json: cuts text into the words that the model sees.
#pragma once
#include "io/tokenizer/steps/pre_tokenizer_steps.h"
#include "kernels/error.h"
#include <jansson.h>

struct pre_tokenizer; // opaque

// value is the member "pre_tokenizer", null for none. Knows Sequence, ByteLevel, Split, Metaspace, Digits,
// Punctuation, Whitespace, WhitespaceSplit, CharDelimiterSplit and BertPreTokenizer; others are refused by
// name. Freed with pre_tokenizer_free.
enum status pre_tokenizer_from_json(struct pre_tokenizer **pre_tokenizer, const json_t *value,
                                    struct error *err);
void pre_tokenizer_free(struct pre_tokenizer *pre_tokenizer); // NULL is fine

// Takes words, in their order, some at a time: pieces of `bytes`, which are the caller's.
struct word_sink {
    enum status (*take)(void *context, const char *bytes, const struct pieces *words, struct error *err);
    void *context;
};

// Cuts text into words, of which it begins with origin_bytes of the first character of the input (text.h).
// NULL pre_tokenizer: it is one word. Memory does not grow with a text that the first step cuts: what that
// finds goes through the other steps some pieces at a time, each of them for itself.
enum status pre_tokenizer_apply(const struct pre_tokenizer *pre_tokenizer, struct slice text,
                                size_t origin_bytes, struct pre_tokenizer_work *work,
                                const struct word_sink *sink, struct error *err);
