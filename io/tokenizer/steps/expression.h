// expression.h - regular expressions of Oniguruma, which `tokenizers` uses, in the language of PCRE2.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"

// Appends to out a regular expression that means to PCRE2 (UTF, UCP, MULTILINE) what `expression` means to
// Oniguruma. Most of it stays; \w, \h, \v, \uXXXX, {,n} and names of scripts are rewritten. An expression
// that the two read differently, or that is unknown here, is STATUS_INPUT with its place: \b, \R, \X, nested
// classes, {n,m}+, {n}?, named groups, options other than a leading (?i), and others.
enum status expression_translate(struct slice expression, struct text *out, struct error *err);
