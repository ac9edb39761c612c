// sample.h - the calibration sequences and evaluation windows: token ids cut from a corpus.
#pragma once
#include "io/corpus/corpus.h"
#include "io/tokenizer/tokenizer.h"

// Calibration, the field's protocol (kernels/METHOD.md §12): for each sequence a random document that is
// longer than `length` tokens (special tokens included, as the reference tokenizers add them), then a random
// slice of exactly `length` tokens. Documents are drawn without replacement; when every document that is long
// enough has been used, they are drawn anew. Drawn from `seed` by generator.h, the same on every machine.
// ids: [sequences, length], allocated, caller frees. Tokens of drawn documents are kept for the next pass up
// to a fixed amount of memory (64 MiB); beyond it a document that is drawn again is tokenised again. No
// document long enough is STATUS_INPUT and says how long the longest is.
enum status sample_sequences(int32_t **ids, struct tokenizer *tokenizer, const struct corpus *corpus,
                             size_t sequences, size_t length, uint64_t seed, struct error *err);

// Calibration from token ids: the dataset "tokens" [sequences, length] of an HDF5 file, any integer type.
// ids: [*sequences, *length], allocated, caller frees. A file or dataset that is missing or of another kind,
// and an id that is negative or beyond int32, are STATUS_INPUT. One process alone (serial HDF5 access).
enum status sample_load_tokens(int32_t **ids, size_t *sequences, size_t *length, const char *path,
                               struct error *err);

// Evaluation (kernels/METHOD.md §13): the documents joined with "\n\n", tokenised once (with the template's
// leading token), cut into non-overlapping windows of `length`, tail dropped. ids: [windows, length],
// allocated, caller frees. Less than one window is STATUS_INPUT.
enum status sample_windows(int32_t **ids, size_t *windows, struct tokenizer *tokenizer,
                           const struct corpus *corpus, size_t length, struct error *err);

// Refuses ids outside [0, vocab_size) with the position of the first; `what` (a file name) opens the message.
enum status sample_check(const int32_t *ids, size_t count, size_t vocab_size, const char *what,
                         struct error *err);
