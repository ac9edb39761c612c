// suggest.h - a word among known ones, and "did you mean": the nearest of them.
#pragma once
#include <stddef.h>

// Index of the word; count when it is not there.
size_t find_word(const char *word, const char *const *words, size_t count);

// Edits (insert, delete, replace, swap neighbours) from a to b. Public for tests.
size_t edit_distance(const char *a, const char *b);

// The candidate with the fewest edits from word, the first of equals; NULL when none is near enough to be
// meant (more than a third of the word's length, at least 1).
const char *suggest_nearest(const char *word, const char *const *candidates, size_t count);
