// corpus.h - documents of a text corpus: of a file, or of the files of a folder or a pattern (file_set.h),
// one after the other in the order of their names. How a file is read its first bytes say, and where they do
// not, its name (text_kind.h):
//   lines of JSON      an object a line, one field of it, "text", is a document; blank lines are skipped
//   objects of JSON    an array of them, or objects over several lines: the same
//   *.raw              WikiText's format: every line, newline included, is a document, and blank lines are
//                      empty documents, as the field's loaders give them
//   anything else      (*.txt) the whole file is one document
// All of it must be valid UTF-8; a broken line, a broken compressed stream, what is no text or an empty
// corpus is STATUS_INPUT with file and line.
#pragma once
#include "kernels/error.h"
#include <stddef.h>
#include <stdint.h>

struct corpus {
    size_t count;
    char *text;      // all documents, one after the other
    size_t *offsets; // [count + 1]
    // XXH3-64 of the file's bytes as they are on disk; of several files that of their hashes, in their order.
    uint64_t hash;
};

// Reads path as a stream: memory is about the size of the text. *corpus is freed with corpus_free. A file
// that cannot be read is STATUS_INPUT.
enum status corpus_load(struct corpus **corpus, const char *path, struct error *err);
// The member of JSON's objects that is the document.
struct document_field {
    const char *name;      // NULL: "text"
    const char *chosen_by; // what says in the job which member it is, for messages; NULL: nothing does
};

// The same with another field, and of several files only the first ones, those that have `enough` bytes on
// disk.
enum status corpus_load_field(struct corpus **corpus, const char *path, const struct document_field *field,
                              uint64_t enough, struct error *err);
// The documents at the beginning: those of the first `most` bytes of text or a little more; one that is not
// whole there is cut, or left out. *share, 0 to 1, is the part of the files that was read; the hash is 0
// where that is not all.
enum status corpus_load_beginning(struct corpus **corpus, double *share, const char *path,
                                  const struct document_field *field, size_t most, struct error *err);
void corpus_free(struct corpus *corpus); // NULL is fine

// Token ids instead of text: *.h5 with a 2-D integer dataset "tokens" [sequences, length]; sample_load_tokens
// in sample.h reads it.
