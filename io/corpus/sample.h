// sample.h - the calibration sequences and evaluation windows: token ids cut from a corpus.
#pragma once
#include "io/corpus/pack.h"
#include "io/tokenizer/tokenizer.h"

struct sample_request {
    size_t sequences, length;
    uint64_t seed; // of generator.h: the same draw on every machine
    enum pack pack;
    size_t keep; // tokens of drawn documents that stay in memory; 0: 64 MiB of them
};

struct sample {
    int32_t *ids;   // [sequences, length], allocated, the caller frees
    size_t packed;  // documents that were joined; 0: each sequence is of one document
    size_t longest; // tokens of the longest document, where none was long enough; otherwise 0
    size_t tokens;  // that could be drawn, where they are fewer than were: sequences overlap; otherwise 0
};

// Calibration, the field's protocols (kernels/METHOD.md §12).
//
// By documents (as C4): for each sequence a random document that is longer than `length` tokens (special
// tokens included, as the reference tokenizers add them), then a random slice of exactly `length` tokens.
// Documents are drawn without replacement; when every document that is long enough has been used, they are
// drawn anew. Tokens of drawn documents are kept for the next pass up to a fixed amount of memory (`keep`);
// a document beyond it that is drawn again is tokenised once more, at the end, for all the slices of it.
//
// Packed (as WikiText): the documents joined by pack.h and tokenised once, with the special tokens of one
// text; for each sequence a random start in [0, tokens - length), so that sequences may overlap. Of a corpus
// of more than 16 MiB, or 8 bytes for each token that is asked for where that is more, so much is joined, in
// pieces of 32 bytes for each token of a sequence.
//
// PACK_TRUE packs, PACK_FALSE does not. PACK_AUTO packs when no document is longer than `length` tokens,
// which takes a look at all of them; what can be drawn by documents is drawn as with PACK_FALSE. No document,
// or no joined text, that is longer than `length` tokens is STATUS_INPUT and says how long the longest is.
enum status sample_sequences(struct sample *sample, struct tokenizer *tokenizer, const struct corpus *corpus,
                             const struct sample_request *request, struct error *err);

// What is wanted of a file of token ids: sequences of `length`, at least `fewest` of them, and no more than
// the first `most`.
struct token_request {
    size_t length, fewest, most;
};

// Calibration from token ids: the dataset "tokens" [sequences, length] of an HDF5 file, any integer type.
// Only the first rows are read, as many as are asked for. ids: [*sequences, request->length], allocated,
// caller frees. A file or dataset that is missing, of another kind or shape, or not whole in itself
// (hdf5_file.h), and an id that is negative or beyond int32, are STATUS_INPUT. One process alone (serial HDF5
// access).
enum status sample_load_tokens(int32_t **ids, size_t *sequences, const char *path,
                               const struct token_request *request, struct error *err);

// Evaluation (kernels/METHOD.md §13): the documents joined with "\n\n", tokenised once (with the template's
// leading token), cut into non-overlapping windows of `length`, tail dropped. ids: [windows, length],
// allocated, caller frees. Less than one window is STATUS_INPUT.
enum status sample_windows(int32_t **ids, size_t *windows, struct tokenizer *tokenizer,
                           const struct corpus *corpus, size_t length, struct error *err);

// Refuses ids outside [0, vocab_size) with the position of the first; `what` (a file name) opens the message.
enum status sample_check(const int32_t *ids, size_t count, size_t vocab_size, const char *what,
                         struct error *err);
