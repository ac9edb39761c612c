// windows.h - the text that perplexity is measured on, as windows of token ids.
#pragma once
#include "io/corpus/corpus.h"
#include "stages/stage.h"

struct evaluation_windows {
    int32_t *ids; // [count, length]
    size_t count, length;
    uint64_t corpus_hash;
    double *nll;      // [count], or NULL: evaluate_perplexity leaves each window's mean cross-entropy there
    const char *text; // its name, as text_label gives it; borrowed
    bool keep_parts;  // windows that are measured are kept in the variant's results until all of them are
};

// Rank 0 reads and tokenises settings->texts[text]; afterwards every rank has the windows. Collective. Freed
// with evaluation_windows_free.
enum status evaluation_windows_create(struct evaluation_windows *windows, const struct stage *stage,
                                      size_t text, struct error *err);
// The field of a JSON text's objects, as corpus_load_field takes it; borrows from the text.
struct document_field text_document_field(const struct text_settings *text);
void evaluation_windows_free(struct evaluation_windows *windows);
