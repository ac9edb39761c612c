// peers.h - words of other pruning programs, and what they are called here. For whoever meets a key or an
// option that coppice does not have. docs/from-other-tools.md has them in its tables; a test compares.
#pragma once
#include <stddef.h>

struct peer_word {
    const char *word;  // "nsamples", without dashes before it and with _ between words
    const char *tools; // whose it is
    const char *ours;  // the key or section of the job file that says the same; NULL: there is none
    const char *note;  // what to write there, or why there is none; NULL: nothing to add
};

const struct peer_word *peer_words(size_t *count);
// "--num-fewshot" and "num_fewshot" are the same. NULL: nobody's.
const struct peer_word *peer_word_find(const char *text);
// "nsamples (Wanda and SparseGPT) is calibration.sequences in coppice". Returns text.
const char *peer_word_answer(const struct peer_word *word, char *text, size_t size);
