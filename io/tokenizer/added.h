// added.h - "added_tokens" of tokenizer.json: strings that become one token before the model sees the text.
//
// Tokens with normalized false are looked for in the text as it comes in, those with normalized true in the
// normalised text, where they stand in normalised form themselves.
#pragma once
#include "io/tokenizer/model/vocabulary.h"
#include "io/tokenizer/steps/normalizer.h"
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>

struct added_tokens; // opaque

// value is the member "added_tokens". Every id must be the one that `tokenizers` gives the token: that of the
// vocabulary, or the next free one after it. Freed with added_tokens_free.
enum status added_tokens_from_json(struct added_tokens **added, const json_t *value,
                                   const struct vocabulary *vocabulary, const struct normalizer *normalizer,
                                   struct error *err);
void added_tokens_free(struct added_tokens *added); // NULL is fine

// Largest id + 1, 0 without added tokens.
size_t added_tokens_bound(const struct added_tokens *added);

// A stretch of text: an added token, or the text between two (id < 0).
struct added_stretch {
    size_t start;
    size_t end;
    int32_t id;
};

// Where a search is; begin with {0}.
struct added_search {
    size_t position; // where to look for the next token
    size_t done;     // the stretches so far end here
    bool waiting;    // `next` is still to be handed out
    bool ended;
    struct added_stretch next;
};

// The next stretch of text; false after the last one. normalized says which of the two kinds to look for. At
// each place the longest token wins, and tokens do not overlap.
bool added_tokens_next(const struct added_tokens *added, bool normalized, struct slice text,
                       struct added_search *search, struct added_stretch *stretch);
