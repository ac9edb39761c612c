// tokenizer.h - text to token ids as a Hugging Face tokenizer.json describes it: normalizer, added tokens,
// pre-tokenizer, model, post-processor template.
//
// The ids are those of the `tokenizers` library, also where it mixes versions of Unicode (unicode_data.h).
// Anything unknown in a tokenizer.json is refused by name, never ignored: models other than BPE, Unigram and
// WordPiece, dropout, affixes of BPE's subwords, and parts that normalizer.h, pre_tokenizer.h, template.h and
// expression.h do not list. Truncation and padding do not count, as in `transformers`; the decoder is not
// looked at.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

struct tokenizer; // opaque; one per process is enough; not for use by several threads at once

// Loads tokenizer.json. STATUS_INPUT names the file and the part that is wrong or unknown. Freed with
// tokenizer_free.
enum status tokenizer_load(struct tokenizer **tokenizer, const char *path, struct error *err);
void tokenizer_free(struct tokenizer *tokenizer); // NULL is fine

// ids: *out is allocated (caller frees), *count its length. add_special_tokens puts the post-processor's
// template around the text, as the reference does by default. Text is UTF-8 of `size` bytes; invalid UTF-8 is
// STATUS_INPUT with the byte offset. So is a character that the model cannot write and whose stand-in, the
// model's unk_token, is no token.
//
// Time is linear in size, for a text that is one word as well (merge_queue.h). It takes longer only where an
// expression of the file itself does (\s+$ on a long run of spaces).
enum status tokenizer_encode(struct tokenizer *tokenizer, const char *text, size_t size,
                             bool add_special_tokens, int32_t **out, size_t *count, struct error *err);

// Largest id + 1, over vocabulary and added tokens. Public for tests.
size_t tokenizer_vocabulary_size(const struct tokenizer *tokenizer);
