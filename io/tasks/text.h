// text.h - the changes that the tasks' prompts make to texts, done as in the Python of their reference.
#pragma once
#include <stddef.h>

// Bytes at the start and at the end of text[size] (UTF-8) that Python's str.strip takes off.
size_t blank_at_start(const char *text, size_t size);
size_t blank_at_end(const char *text, size_t size);

size_t count_characters(const char *text, size_t size);

// The text (NUL-terminated) as str.capitalize gives it: the first character in title case, all others in
// lower case. Single characters only: an "ss" from a sharp s is not made. The caller frees; NULL: memory ran
// out.
char *capitalised(const char *text);

// In place, HellaSwag's: blanks at both ends go, " [title]" becomes ". ", anything else in brackets within a
// line goes, then each pair of spaces becomes one.
void clean_hellaswag(char *text);
