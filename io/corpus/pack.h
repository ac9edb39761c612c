// pack.h - packing: the documents of a corpus joined with "\n\n", to be tokenised once and cut anywhere, as
// the field does with WikiText (get_wikitext2 of GPTQ, https://github.com/IST-DASLab/gptq).
#pragma once
#include "io/corpus/corpus.h"
#include "io/corpus/generator.h"

enum pack {
    PACK_AUTO = 0, // only where no document is long enough to be cut by itself
    PACK_TRUE,
    PACK_FALSE
};

struct packed_text {
    const char *text; // [size]
    size_t size;
    size_t documents; // that were joined, empty ones included
    char *owned;      // NULL where the text is the corpus's own
};

// How much of a large corpus is joined, in bytes, the separator before each document included.
struct pack_limits {
    size_t piece;  // of neighbouring documents
    size_t enough; // of all pieces; a corpus that has no more is joined whole
};

// Joins all documents (limits NULL), in their order and with "\n\n" between them. Or only as many as the
// limits say: a corpus that has more than `enough` bytes is cut, in its order, into pieces of neighbouring
// documents, each the fewest that have `piece` bytes (the last one may have less). Pieces are drawn without
// replacement, by a Fisher-Yates shuffle, until they have `enough` bytes, and are joined in the order of the
// corpus. generator: used only then. The corpus must outlive the text, which is freed with pack_free.
enum status pack_documents(struct packed_text *packed, const struct corpus *corpus,
                           const struct pack_limits *limits, struct generator *generator, struct error *err);
void pack_free(struct packed_text *packed); // zeroed is fine
