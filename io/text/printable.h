// printable.h - text of others, made fit for a line of a document.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// A copy of text[size] in which control characters (of ASCII and of C1, line ends among them), separators of
// lines and paragraphs, noncharacters and the marks that turn the direction of what follows are spaces, and
// what is no UTF-8 is U+FFFD. NULL: out of memory. The caller frees.
char *printable_copy(const char *text, size_t size);

// Whether the copy would be the text itself.
bool is_printable_text(const char *text, size_t size);
// The same in place, without U+FFFD: what is no UTF-8 is a space as well.
void make_printable(char *text);
