// bert.h - the steps of BertNormalizer (Devlin et al., 2019) that no other normalizer has. Each puts its form
// of in into out, which is empty.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"

// Whitespace becomes spaces; control and private characters, NUL and U+FFFD go.
enum status bert_clean(const struct text *in, struct text *out, struct error *err);
// A space on both sides of every ideograph, in the ranges that `tokenizers` takes for ideographs.
enum status bert_space_ideographs(const struct text *in, struct text *out, struct error *err);
// Nonspacing marks go. in is in NFD.
enum status bert_strip_accents(const struct text *in, struct text *out, struct error *err);
