// corpus.h - documents of a text corpus. By file name, after a ".gz" is taken off (then the file is
// decompressed):
//   *.jsonl, *.json   one JSON object a line, one field of it, "text", is a document; blank lines are skipped
//   *.raw             WikiText's format: every line, newline included, is a document, and blank lines are
//                     empty documents, as the field's loaders give them
//   anything else     (*.txt) the whole file is one document
// All of it must be valid UTF-8; a broken line, a broken gzip stream or an empty corpus is STATUS_INPUT with
// file and line.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct corpus {
    size_t count;
    char *text;      // all documents, one after the other
    size_t *offsets; // [count + 1]
    uint64_t hash;   // XXH3-64 of the file's bytes as they are on disk: its fingerprint
};

// Reads path as a stream: memory is about the size of the text. *corpus is freed with corpus_free. A file
// that cannot be read is STATUS_INPUT.
enum status corpus_load(struct corpus **corpus, const char *path, struct error *err);
// The same with another field of *.jsonl and *.json files; NULL: "text".
enum status corpus_load_field(struct corpus **corpus, const char *path, const char *field, struct error *err);
// The documents at the beginning of the file: those of its first `most` bytes of text or a little more; one
// that is not whole there is cut, or left out. *share, 0 to 1, is the part of the file that was read; the
// hash is 0.
enum status corpus_load_beginning(struct corpus **corpus, double *share, const char *path, size_t most,
                                  struct error *err);
// Whether the file's name says that it holds JSON objects, which have fields.
bool corpus_has_fields(const char *path);
void corpus_free(struct corpus *corpus); // NULL is fine

// Token ids instead of text: *.h5 with a 2-D integer dataset "tokens" [sequences, length]; sample_load_tokens
// in sample.h reads it.
