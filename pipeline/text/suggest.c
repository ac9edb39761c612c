#include "pipeline/text/suggest.h"

#include <string.h>

enum { LONGEST_WORD = 63 }; // longer words are cut: nobody mistypes one into the other

size_t find_word(const char *word, const char *const *words, size_t count)
{
    size_t i = 0;
    while (i < count && strcmp(word, words[i]) != 0)
        i++;
    return i;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

// Optimal string alignment: the Levenshtein recurrence with one more case for swapped neighbours.
size_t edit_distance(const char *a, const char *b)
{
    size_t rows[3][LONGEST_WORD + 1]; // the row in hand and the two before it
    const size_t length_a = smaller(strlen(a), LONGEST_WORD), length_b = smaller(strlen(b), LONGEST_WORD);

    for (size_t j = 0; j <= length_b; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= length_a; i++) {
        size_t *now = rows[i % 3];
        const size_t *before = rows[(i - 1) % 3], *two_before = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= length_b; j++) {
            now[j] = smaller(smaller(now[j - 1], before[j]) + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = smaller(now[j], two_before[j - 2] + 1);
        }
    }
    return rows[length_a % 3][length_b];
}

const char *suggest_nearest(const char *word, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    size_t limit = strlen(word) / 3;

    if (limit == 0)
        limit = 1;
    for (size_t i = 0; i < count; i++) {
        const size_t distance = edit_distance(word, candidates[i]);
        // A word that has no letter in common with the candidate is not a misspelling of it.
        if (distance > limit || distance >= strlen(candidates[i]))
            continue;
        nearest = candidates[i];
        if (distance == 0)
            break;
        limit = distance - 1;
    }
    return nearest;
}
