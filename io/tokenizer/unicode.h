// unicode.h - the parts of Unicode that a tokenizer needs: classes of code points, normal forms, lower case.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

bool unicode_is_whitespace(uint32_t code_point);  // White_Space
bool unicode_is_numeric(uint32_t code_point);     // Nd, Nl, No
bool unicode_is_punctuation(uint32_t code_point); // P* and all ASCII signs
bool unicode_is_mark(uint32_t code_point);        // Mn, Mc, Me
bool unicode_is_nonspacing(uint32_t code_point);  // Mn
bool unicode_is_other(uint32_t code_point);       // Cc, Cf, Co
bool unicode_is_word(uint32_t code_point);        // Alphabetic, M*, Nd, Pc, Join_Control: \w of UTS #18

enum unicode_form { UNICODE_NFC, UNICODE_NFD, UNICODE_NFKC, UNICODE_NFKD };

// Puts the normal form of in into out, which is empty, in time linear in its size.
enum status unicode_normalize(enum unicode_form form, const struct text *in, struct text *out,
                              struct error *err);

// Puts in into out, which is empty, with every character in lower case, by itself (no rule that looks at its
// neighbours).
enum status unicode_lowercase(const struct text *in, struct text *out, struct error *err);

// Where the extended grapheme cluster (UAX #29) that begins at `at` ends.
size_t unicode_grapheme_end(const char *bytes, size_t size, size_t at);
