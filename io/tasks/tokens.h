// tokens.h - a task's options as token ids. The beginning that an example's options share is kept once.
//
// Tokens are those of EleutherAI's lm-evaluation-harness 0.4.9 (TemplateLM._encode_pair, HFLM): white space
// at the context's end goes to the continuation; the context's tokens are those of the context alone, the
// continuation's those of the whole text beyond as many; without special tokens, except for Gemma; an empty
// context is the token that begins a text. A sequence with more tokens than the model has positions loses its
// beginning.
#pragma once
#include "io/tasks/examples.h"
#include "io/tokenizer/tokenizer.h"

// The sequences of an example's options begin alike: ids holds that prefix once, then the rest of each
// option, at least one token. The last token of a sequence is only a target, no input. The last `scored`
// tokens of a sequence are its continuation.
struct task_tokens {
    size_t num_examples, num_options, num_ids;
    uint64_t truncated; // options that lost their beginning
    // All in `numbers`, one allocation of num_numbers.
    size_t num_numbers;
    uint64_t *numbers;
    uint64_t *first_option;       // [num_examples + 1]
    uint64_t *first_id;           // [num_examples + 1]
    uint64_t *gold, *prefix;      // [num_examples] the right option; tokens of the prefix
    uint64_t *group;              // [num_examples] of MMLU: the subject; 0
    uint64_t *branch, *scored;    // [num_options] tokens after the prefix; of the continuation
    uint64_t *bytes, *characters; // [num_options] of the option's text
    int32_t *ids;                 // [num_ids]
};

struct task_encoder {
    struct tokenizer *tokenizer;
    const char *model;   // its directory: where an empty context's token is looked up
    bool special_tokens; // around every text
    size_t max_length;   // tokens that the model has positions for
    size_t vocab_size;   // ids beyond are refused
    int32_t beginning;   // of a text without context; looked up when it is first needed
    bool knows_beginning;
};

// STATUS_INPUT names path and line: an option whose continuation has no tokens, or does not fit the model, a
// token that the model does not know. Freed with task_tokens_free.
enum status task_tokenise(struct task_tokens *tokens, const struct task_examples *task,
                          struct task_encoder *encoder, const char *path, struct error *err);
// Takes counts (num_examples, num_options, num_ids) and makes room for the rest.
enum status task_tokens_allocate(struct task_tokens *tokens, struct error *err);
void task_tokens_free(struct task_tokens *tokens); // a zeroed one is fine
