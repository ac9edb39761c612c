// printable.h - text of others, made fit for a line of a document.
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum { PRINTABLE_CHARACTER = 5 };

// Takes the next character of text[size] and writes what printable_copy makes of it, one to four bytes and a
// NUL. Returns how many bytes of text it took; 0 at the end, where shown is "".
size_t printable_next(char shown[PRINTABLE_CHARACTER], const char *text, size_t size);

// A copy of text[size] in which control characters (of ASCII and of C1, line ends among them), separators of
// lines and paragraphs, noncharacters and the marks that turn the direction of what follows are spaces, and
// what is no UTF-8 is U+FFFD. NULL: out of memory. The caller frees.
char *printable_copy(const char *text, size_t size);

// Whether the copy would be the text itself.
bool is_printable_text(const char *text, size_t size);
// The same in place, without U+FFFD: what is no UTF-8 is a space as well.
void make_printable(char *text);
