// not_text.h - what a file is that was given as a text and is none, by its first bytes, and what to do.
#pragma once
#include "kernels/error.h"
#include <stddef.h>

// Enough of a beginning for `not_text_check` to see all that it knows.
enum { NOT_TEXT_HEAD = 520 };

// STATUS_INPUT "PATH: a Parquet file: ..." for a known format that is no plain text, for UTF-16 and UTF-32,
// for a pointer of Git LFS, and for a page of HTML or XML whose name does not say so, such as a server's
// answer that was saved in place of the file. head[size]: how the file begins, decompressed.
enum status not_text_check(const char *path, const char *head, size_t size, struct error *err);
