// wrapper.h - checkpoints of models for images and text with a language model inside, which alone is pruned;
// all else is carried over. A wrapper is a row in families/wrappers.c.
//
// Its config.json has the language model's keys in `text_config`, and its tensors have a prefix of their own.
// Positions of a text without images are those of the language model alone.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A token that stands for an image or the like: its key, and its id where the key is absent.
struct wrapper_placeholder {
    const char *key;
    int32_t id;
};

// Whose `tie_word_embeddings` makes the head the embedding.
enum wrapper_tie { TIE_OF_ROOT, TIE_OF_EITHER, TIE_OF_TEXT };

struct wrapper {
    const char *model_type;
    // model_type of `text_config`: those that are known to work here, and the one that it has if it says
    // none.
    const char *const *texts; // ended by NULL
    const char *default_text;
    // Names that the language model's tensors and the head's have had, ended by NULL:
    // "model.language_model.".
    const char *const *prefixes, *const *heads;
    bool flat;            // without `text_config` its keys stand at the root
    bool default_tie;     // what the root's `tie_word_embeddings` is when it is absent
    bool caps_logits;     // as the language model's own class does (final_logit_softcapping)
    enum wrapper_tie tie; // whose `tie_word_embeddings` counts
    // Tokens for which the reference puts the language model's `pad_token_id` in every input, a text too: by
    // their keys at the root, ended by a key of NULL. NULL: there are none.
    const struct wrapper_placeholder *placeholders;
    // Keys at the root with ids of tokens that the reference cannot do without, ended by NULL; or NULL. They
    // are integers, and lists where the key ends in "_ids".
    const char *const *tokens;
    size_t default_hidden; // of `hidden_size` at the root, which has to be the language model's; 0: not asked
    const char *const *harmless; // keys about the other parts, see struct family
};
