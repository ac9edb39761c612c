#include "io/corpus/pack.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char separator[2] = {'\n', '\n'};

// Neighbouring documents, and their bytes.
struct piece {
    size_t first, end, bytes;
    bool chosen;
};

struct pieces {
    size_t count;
    struct piece *of; // in the order of the corpus
};

static size_t document_bytes(const struct corpus *corpus, size_t document)
{
    return corpus->offsets[document + 1] - corpus->offsets[document] + sizeof separator;
}

static void cut(struct pieces *pieces, const struct corpus *corpus, size_t piece_bytes)
{
    for (size_t i = 0; i < corpus->count; i++) {
        struct piece *piece = &pieces->of[pieces->count];
        if (piece->end == 0)
            piece->first = i;
        piece->end = i + 1;
        piece->bytes += document_bytes(corpus, i);
        if (piece->bytes >= piece_bytes || i + 1 == corpus->count)
            pieces->count++;
    }
}

static enum status choose(struct pieces *pieces, size_t enough, struct generator *generator,
                          struct error *err)
{
    size_t *order, bytes = 0;

    FORWARD_IF_ERROR(allocate(&order, pieces->count, sizeof *order, "drawing documents", err));
    for (size_t i = 0; i < pieces->count; i++)
        order[i] = i;
    for (size_t i = 0; i < pieces->count && bytes < enough; i++) {
        const size_t pick = i + (size_t)generator_below(generator, pieces->count - i);
        struct piece *piece = &pieces->of[order[pick]];
        order[pick] = order[i];
        piece->chosen = true;
        bytes += piece->bytes;
    }
    free(order);
    return STATUS_OK;
}

// The chosen pieces one after the other.
static enum status join(struct packed_text *packed, const struct corpus *corpus, const struct pieces *pieces,
                        struct error *err)
{
    size_t bytes = 0;

    for (size_t i = 0; i < pieces->count; i++)
        bytes += pieces->of[i].chosen ? pieces->of[i].bytes : 0;
    FORWARD_IF_ERROR(allocate(&packed->owned, bytes, 1, "the joined corpus", err));
    packed->text = packed->owned;
    for (size_t i = 0; i < pieces->count; i++) {
        const struct piece *piece = &pieces->of[i];
        for (size_t d = piece->first; d < piece->end && piece->chosen; d++) {
            const size_t length = corpus->offsets[d + 1] - corpus->offsets[d];
            if (packed->documents++ > 0) {
                memcpy(packed->owned + packed->size, separator, sizeof separator);
                packed->size += sizeof separator;
            }
            if (length > 0)
                memcpy(packed->owned + packed->size, corpus->text + corpus->offsets[d], length);
            packed->size += length;
        }
    }
    return STATUS_OK;
}

enum status pack_documents(struct packed_text *packed, const struct corpus *corpus,
                           const struct pack_limits *limits, struct generator *generator, struct error *err)
{
    const size_t bytes = corpus->offsets[corpus->count] + corpus->count * sizeof separator;
    const bool whole = limits == NULL || bytes <= limits->enough;
    struct piece all = {.end = corpus->count, .bytes = bytes, .chosen = true};
    struct pieces pieces = {1, &all};
    enum status status = STATUS_OK;

    *packed = (struct packed_text){0};
    if (corpus->count == 1) { // a copy of a large text would be another of the kind
        *packed = (struct packed_text){.text = corpus->text, .size = corpus->offsets[1], .documents = 1};
        return STATUS_OK;
    }
    if (!whole) {
        pieces = (struct pieces){0, NULL};
        const size_t most = bytes / limits->piece + 1; // only the last one may be smaller than `piece`
        FORWARD_IF_ERROR(allocate(&pieces.of, most, sizeof *pieces.of, "drawing documents", err));
        cut(&pieces, corpus, limits->piece);
        status = choose(&pieces, limits->enough, generator, err);
    }
    if (status == STATUS_OK)
        status = join(packed, corpus, &pieces, err);
    if (!whole)
        free(pieces.of);
    return status;
}

void pack_free(struct packed_text *packed)
{
    free(packed->owned);
    *packed = (struct packed_text){0};
}
