// unicode_data.h - where `tokenizers` and the C libraries disagree about Unicode.
//
// Ids must be those that a model was trained with, whatever version of Unicode the libraries here have.
// `tokenizers` mixes versions (16 in regular expressions, 17, 8 and 9 elsewhere) and PCRE2 and utf8proc have
// others, so the code points on which they differ are listed: in these ranges the value counts and not what
// the library says. The lists were made with PCRE2 10.42 and utf8proc 2.8; newer versions of the two may know
// still other code points that `tokenizers` does not.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct unicode_range { // first to last, sorted
    uint32_t first;
    uint32_t last;
    int32_t value;
};

// Value: 1 where the code points belong to the class, else 0. unicode.h has the classes.
extern const struct unicode_range unicode_numeric_corrections[];
extern const size_t unicode_numeric_corrections_count;
extern const struct unicode_range unicode_punctuation_corrections[];
extern const size_t unicode_punctuation_corrections_count;
extern const struct unicode_range unicode_mark_corrections[];
extern const size_t unicode_mark_corrections_count;
extern const struct unicode_range unicode_nonspacing_corrections[];
extern const size_t unicode_nonspacing_corrections_count;
extern const struct unicode_range unicode_other_corrections[];
extern const size_t unicode_other_corrections_count;
extern const struct unicode_range unicode_word_corrections[];
extern const size_t unicode_word_corrections_count;

// In normal forms: is its own decomposition, has combining class 0 and composes with nothing.
extern const struct unicode_range unicode_inert[];
extern const size_t unicode_inert_count;

// Value: what to add for lower case.
extern const struct unicode_range unicode_lower_corrections[];
extern const size_t unicode_lower_corrections_count;

// In grapheme clusters. Value: a code point that utf8proc treats as this one is to be treated.
extern const struct unicode_range unicode_cluster_stand_ins[];
extern const size_t unicode_cluster_stand_ins_count;

// In grapheme clusters, by rule GB9c. Value: 1 for a consonant, 2 for a linker, 3 for what belongs to the
// cluster before but not between the two.
extern const struct unicode_range unicode_conjuncts[];
extern const size_t unicode_conjuncts_count;

// For regular expressions. Value: a code point with as many bytes that is to PCRE2 what this one is to
// Oniguruma: the same general category, whitespace or not, and, where there is one, the same script of those
// that patterns name.
extern const struct unicode_range unicode_stand_ins[];
extern const size_t unicode_stand_ins_count;

// The range that holds the code point, or NULL.
const struct unicode_range *unicode_find_range(const struct unicode_range *ranges, size_t count,
                                               uint32_t code_point);
