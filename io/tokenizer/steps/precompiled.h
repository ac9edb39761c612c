// precompiled.h - the normalizer "Precompiled": the character map of a SentencePiece model, a double array of
// prefixes (as darts-clone writes it) and the strings that they become.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"

struct precompiled; // opaque

// charsmap is the member "precompiled_charsmap", in base64. Freed with precompiled_free.
enum status precompiled_new(struct precompiled **map, struct slice charsmap, struct error *err);
void precompiled_free(struct precompiled *map); // NULL is fine

// Puts the new form of in into out, which is empty. A grapheme of up to five bytes that begins with a prefix
// of the map becomes the string of its shortest prefix, all of it; in other graphemes every character is
// looked up by itself. So it is in `tokenizers`.
enum status precompiled_apply(const struct precompiled *map, const struct text *in, struct text *out,
                              struct error *err);
