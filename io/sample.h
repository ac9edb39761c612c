// sample.h - the calibration sequences and evaluation windows: token ids cut from a corpus.
#pragma once
#include "io/corpus.h"
#include "io/tokenizer.h"

// Calibration, the field's protocol (METHOD.md, "Calibration"): for each sequence a random document that is
// longer than `length` tokens, then a random slice of exactly `length` tokens. Drawn from `seed` by a
// documented generator, the same on every machine. ids: [sequences, length], allocated, caller frees.
// Documents are tokenised once each, when first drawn. No document long enough is STATUS_INPUT and says how
// long the longest is.
enum status sample_sequences(int32_t **ids, struct tokenizer *tokenizer, const struct corpus *corpus,
                             size_t sequences, size_t length, uint64_t seed, struct error *err);

// Evaluation: the documents joined with "\n\n", tokenised once (with the template's leading token), cut into
// non-overlapping windows of `length`, tail dropped. ids: [windows, length], allocated, caller frees. Less
// than one window is STATUS_INPUT.
enum status sample_windows(int32_t **ids, size_t *windows, struct tokenizer *tokenizer,
                           const struct corpus *corpus, size_t length, struct error *err);

// Refuses ids outside [0, vocab_size) with the position of the first.
enum status sample_check(const int32_t *ids, size_t count, size_t vocab_size, const char *what,
                         struct error *err);
