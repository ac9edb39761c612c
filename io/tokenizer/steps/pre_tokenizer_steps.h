// pre_tokenizer_steps.h - the steps that pre-tokenizers are made of.
#pragma once
#include "io/tokenizer/steps/pattern.h"
#include "io/tokenizer/steps/split.h"
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

// The buffers of a pre-tokenizer, reused from text to text. Begin with {0}; freed with
// pre_tokenizer_work_free.
struct pre_tokenizer_work {
    struct text text;     // what a step makes
    struct pieces pieces; // the same
    struct text whole;    // of the steps before the first cut
    struct text part;     // of some pieces of that
    struct pieces words;
};
void pre_tokenizer_work_limit(struct pre_tokenizer_work *work, size_t limit); // of each text
void pre_tokenizer_work_free(struct pre_tokenizer_work *work);

enum prepend_scheme { PREPEND_FIRST, PREPEND_NEVER, PREPEND_ALWAYS };

struct pre_tokenizer_step {
    // Rewrites text and pieces.
    enum status (*apply)(const struct pre_tokenizer_step *step, struct text *text, struct pieces *pieces,
                         struct pre_tokenizer_work *work, struct error *err);
    struct pattern *pattern;                   // cut at what it matches …
    bool (*is_delimiter)(uint32_t code_point); // … or at such characters …
    uint32_t delimiter;                        // … or at this one
    enum split_behavior behavior;
    bool invert;
    char replacement[5];                // Metaspace: what stands for a space, as a string
    enum prepend_scheme prepend_scheme; // Metaspace
};

// Each rewrites text, pieces or both, and works in `work`.

// Adds the pieces of one stretch of a text, which begins at `offset`, to the splitter's.
enum status pre_tokenizer_cut_stretch(const struct pre_tokenizer_step *step, struct slice stretch,
                                      size_t offset, struct splitter *splitter, struct error *err);

// Cuts every piece at pattern, is_delimiter or delimiter; the text stays.
enum status pre_tokenizer_cut(const struct pre_tokenizer_step *step, struct text *text, struct pieces *pieces,
                              struct pre_tokenizer_work *work, struct error *err);

// Puts a space in front of every piece that begins with none.
enum status pre_tokenizer_add_space(const struct pre_tokenizer_step *step, struct text *text,
                                    struct pieces *pieces, struct pre_tokenizer_work *work,
                                    struct error *err);

// Writes every byte as a character (bytes.h).
enum status pre_tokenizer_byte_level(const struct pre_tokenizer_step *step, struct text *text,
                                     struct pieces *pieces, struct pre_tokenizer_work *work,
                                     struct error *err);

// Makes spaces the replacement, and puts one in front of pieces as prepend_scheme says.
enum status pre_tokenizer_metaspace(const struct pre_tokenizer_step *step, struct text *text,
                                    struct pieces *pieces, struct pre_tokenizer_work *work,
                                    struct error *err);
