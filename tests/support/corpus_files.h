// corpus_files.h - corpora for tests: compressed bytes, and what is in a corpus. Failures end the test.
#pragma once
#include "io/corpus/corpus.h"

// One gzip member of text. Returns its size.
size_t gzip_text(void *out, size_t capacity, const void *text, size_t size);

// The corpus at path has these documents and no others.
#define DOCUMENTS(path, ...)                                                         \
    assert_documents((path), sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
                     (const char *const[]){__VA_ARGS__})
void assert_documents(const char *path, size_t count, const char *const *documents);
// It is STATUS_INPUT, in a line that names the path and holds the complaint.
void assert_refused(const char *path, const char *complaint);
