#include "io/corpus/sample.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

// Tokens that stay in memory for later passes: 64 MiB.
static const size_t usual_keep = ((size_t)64 << 20) / sizeof(int32_t);

// Of a large corpus that is packed: how much is joined at least (WikiText-2's 11 MB are joined whole), how
// much for each token that is asked for (some twice as many as that are then drawn from, at 4 bytes a token),
// and how long neighbours stay together.
static const size_t pack_bytes = (size_t)16 << 20, pack_bytes_of_token = 8, piece_bytes_of_token = 32;

// A slice of a document whose tokens did not stay in memory: cut when all have been drawn.
struct later {
    size_t document, start, sequence;
};

// A corpus that is drawn from. order[next .. available) is left for this pass; documents that proved long
// enough move to order[0 .. found), from which the next pass draws.
struct drawing {
    struct tokenizer *tokenizer;
    const struct corpus *corpus;
    struct generator generator;
    size_t *order;
    size_t next, found, available;
    size_t longest;   // tokens of the longest document seen
    size_t tokens;    // of the documents that are long enough, in the first pass
    bool is_repeated; // all documents were seen
    int32_t **cached; // [documents], NULL: not kept
    size_t *counts;   // [documents] their tokens, 0: not known, or too few
    size_t cache_used, cache_limit;
    struct later *later; // [num_later]
    size_t num_later;
};

static void drawing_free(struct drawing *drawing)
{
    if (drawing->cached != NULL) {
        for (size_t i = 0; i < drawing->corpus->count; i++)
            free(drawing->cached[i]);
    }
    free(drawing->cached);
    free(drawing->counts);
    free(drawing->later);
    free(drawing->order);
}

static enum status drawing_start(struct drawing *drawing, const struct sample_request *request,
                                 struct error *err)
{
    const size_t documents = drawing->corpus->count;

    FORWARD_IF_ERROR(allocate(&drawing->order, documents, sizeof *drawing->order, "drawing documents", err));
    FORWARD_IF_ERROR(
        allocate(&drawing->cached, documents, sizeof *drawing->cached, "drawing documents", err));
    FORWARD_IF_ERROR(
        allocate(&drawing->counts, documents, sizeof *drawing->counts, "drawing documents", err));
    FORWARD_IF_ERROR(
        allocate(&drawing->later, request->sequences, sizeof *drawing->later, "drawing documents", err));
    for (size_t i = 0; i < documents; i++)
        drawing->order[i] = i;
    drawing->available = documents;
    drawing->cache_limit = request->keep > 0 ? request->keep : usual_keep;
    generator_seed(&drawing->generator, request->seed);
    return STATUS_OK;
}

static enum status encode_document(const struct drawing *drawing, size_t document, int32_t **tokens,
                                   size_t *count, struct error *err)
{
    const size_t *offsets = drawing->corpus->offsets;

    if (tokenizer_encode(drawing->tokenizer, drawing->corpus->text + offsets[document],
                         offsets[document + 1] - offsets[document], true, tokens, count, err) != STATUS_OK)
        return error_prefix(err, "document %zu of the corpus", document + 1);
    return STATUS_OK;
}

// Tokens of a document; NULL when they were seen and not kept, where the count is still known. *owned is what
// the caller frees, NULL when they stay in the cache.
static enum status document_tokens(struct drawing *drawing, size_t document, size_t length, int32_t **tokens,
                                   int32_t **owned, size_t *count, struct error *err)
{
    *owned = NULL;
    *tokens = drawing->cached[document];
    *count = drawing->counts[document];
    if (*count > 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(encode_document(drawing, document, tokens, count, err));
    // A document that is too short is not drawn again.
    if (*count > length)
        drawing->counts[document] = *count;
    if (*count > length && *count <= drawing->cache_limit - drawing->cache_used) {
        drawing->cached[document] = *tokens;
        drawing->cache_used += *count;
    } else {
        *owned = *tokens;
    }
    return STATUS_OK;
}

// One step of a Fisher-Yates shuffle: a random one of those left.
static size_t draw_document(struct drawing *drawing)
{
    size_t *order = drawing->order;
    const size_t k = drawing->next++;
    const size_t pick = k + (size_t)generator_below(&drawing->generator, drawing->available - k);
    const size_t document = order[pick];
    order[pick] = order[k];
    order[k] = document;
    return document;
}

// ids[.., length] gets the sequence of that index. *found is false when no document is long enough.
static enum status draw_sequence(struct drawing *drawing, size_t length, int32_t *ids, size_t index,
                                 bool *found, struct error *err)
{
    for (;;) {
        int32_t *tokens, *owned;
        size_t count;
        if (drawing->next == drawing->available) {
            *found = drawing->found > 0;
            if (!*found)
                return STATUS_OK;
            drawing->available = drawing->found;
            drawing->is_repeated = true;
            drawing->next = drawing->found = 0;
        }
        const size_t document = draw_document(drawing);
        FORWARD_IF_ERROR(document_tokens(drawing, document, length, &tokens, &owned, &count, err));
        if (count > drawing->longest)
            drawing->longest = count;
        if (count > length) {
            const size_t start = (size_t)generator_below(&drawing->generator, count - length + 1);
            if (tokens != NULL)
                memcpy(ids + index * length, tokens + start, length * sizeof *ids);
            else
                drawing->later[drawing->num_later++] = (struct later){document, start, index};
            drawing->order[drawing->found++] = document; // in place of one that this pass is done with
            drawing->tokens += drawing->is_repeated ? 0 : count;
        }
        free(owned);
        if (count > length) {
            *found = true;
            return STATUS_OK;
        }
    }
}

static int by_document(const void *a, const void *b)
{
    const struct later *first = a, *second = b;
    return (first->document > second->document) - (first->document < second->document);
}

static enum status cut_later(struct drawing *drawing, size_t length, int32_t *ids, struct error *err)
{
    struct later *later = drawing->later;
    const size_t count = drawing->num_later;

    qsort(later, count, sizeof *later, by_document);
    for (size_t i = 0; i < count;) {
        const size_t document = later[i].document;
        int32_t *tokens;
        size_t found;
        FORWARD_IF_ERROR(encode_document(drawing, document, &tokens, &found, err));
        for (; i < count && later[i].document == document; i++)
            memcpy(ids + later[i].sequence * length, tokens + later[i].start, length * sizeof *ids);
        free(tokens);
    }
    return STATUS_OK;
}

// *found is false when no document is long enough.
static enum status draw_by_documents(struct sample *sample, bool *found, struct tokenizer *tokenizer,
                                     const struct corpus *corpus, const struct sample_request *request,
                                     struct error *err)
{
    struct drawing drawing = {.tokenizer = tokenizer, .corpus = corpus};
    enum status status;

    *found = true;
    GOTO_IF_ERROR(drawing_start(&drawing, request, err), done);
    for (size_t i = 0; i < request->sequences && *found; i++)
        GOTO_IF_ERROR(draw_sequence(&drawing, request->length, sample->ids, i, found, err), done);
    if (*found)
        GOTO_IF_ERROR(cut_later(&drawing, request->length, sample->ids, err), done);
    if (!*found)
        sample->longest = drawing.longest;
    else if (drawing.is_repeated && drawing.tokens < request->sequences * request->length)
        sample->tokens = drawing.tokens;
done:
    drawing_free(&drawing);
    return status;
}

static enum status draw_packed(struct sample *sample, struct tokenizer *tokenizer,
                               const struct corpus *corpus, const struct sample_request *request,
                               struct error *err)
{
    const size_t length = request->length, wanted = pack_bytes_of_token * request->sequences * length;
    const struct pack_limits limits = {piece_bytes_of_token * length,
                                       wanted > pack_bytes ? wanted : pack_bytes};
    struct generator generator;
    struct packed_text packed;
    int32_t *tokens;
    size_t count;

    generator_seed(&generator, request->seed);
    FORWARD_IF_ERROR(pack_documents(&packed, corpus, &limits, &generator, err));
    sample->packed = packed.documents;
    const bool is_whole = packed.documents == corpus->count;
    const enum status status =
        tokenizer_encode(tokenizer, packed.text, packed.size, true, &tokens, &count, err);
    pack_free(&packed);
    FORWARD_IF_ERROR(status);
    for (size_t i = 0; i < request->sequences && count > length; i++) {
        const size_t start = (size_t)generator_below(&generator, count - length);
        memcpy(sample->ids + i * length, tokens + start, length * sizeof *tokens);
    }
    free(tokens);
    if (is_whole && count < request->sequences * length)
        sample->tokens = count;
    RETURN_ERROR_IF(
        count <= length, err, STATUS_INPUT,
        "%zu of the corpus's %zu documents, joined, have %zu tokens: a sequence of %zu needs more",
        sample->packed, corpus->count, count, length);
    return STATUS_OK;
}

static enum status draw(struct sample *sample, struct tokenizer *tokenizer, const struct corpus *corpus,
                        const struct sample_request *request, struct error *err)
{
    bool found = false;

    if (request->pack != PACK_TRUE)
        FORWARD_IF_ERROR(draw_by_documents(sample, &found, tokenizer, corpus, request, err));
    if (found)
        return STATUS_OK;
    RETURN_ERROR_IF(
        request->pack == PACK_FALSE, err, STATUS_INPUT,
        "no document of the corpus is longer than a sequence of %zu tokens; the longest of its %zu "
        "documents has %zu; calibration.pack: true joins them",
        request->length, corpus->count, sample->longest);
    return draw_packed(sample, tokenizer, corpus, request, err);
}

enum status sample_sequences(struct sample *sample, struct tokenizer *tokenizer, const struct corpus *corpus,
                             const struct sample_request *request, struct error *err)
{
    const size_t sequences = request->sequences, length = request->length;

    *sample = (struct sample){0};
    RETURN_ERROR_IF(sequences == 0 || length == 0, err, STATUS_USAGE,
                    "%zu sequences of %zu tokens: neither may be 0", sequences, length);
    RETURN_ERROR_IF(length > SIZE_MAX / piece_bytes_of_token / sequences, err, STATUS_MEMORY,
                    "out of memory: %zu sequences of %zu tokens", sequences, length);
    FORWARD_IF_ERROR(allocate(&sample->ids, sequences * length, sizeof *sample->ids, "the sequences", err));
    const enum status status = draw(sample, tokenizer, corpus, request, err);
    if (status != STATUS_OK) {
        free(sample->ids);
        sample->ids = NULL;
    }
    return status;
}

enum status sample_windows(int32_t **ids, size_t *windows, struct tokenizer *tokenizer,
                           const struct corpus *corpus, size_t length, struct error *err)
{
    struct packed_text joined;
    size_t count;

    *ids = NULL;
    *windows = 0;
    RETURN_ERROR_IF(length == 0, err, STATUS_USAGE, "windows of 0 tokens");
    FORWARD_IF_ERROR(pack_documents(&joined, corpus, NULL, NULL, err));
    const enum status status = tokenizer_encode(tokenizer, joined.text, joined.size, true, ids, &count, err);
    pack_free(&joined);
    FORWARD_IF_ERROR(status);
    *windows = count / length;
    if (*windows == 0) {
        free(*ids);
        *ids = NULL;
        RETURN_ERROR(err, STATUS_INPUT, "the text has %zu tokens, less than one window of %zu", count,
                     length);
    }
    int32_t *shrunk = realloc(*ids, *windows * length * sizeof **ids);
    if (shrunk != NULL)
        *ids = shrunk;
    return STATUS_OK;
}

enum status sample_check(const int32_t *ids, size_t count, size_t vocab_size, const char *what,
                         struct error *err)
{
    for (size_t i = 0; i < count; i++)
        RETURN_ERROR_IF(ids[i] < 0 || (size_t)ids[i] >= vocab_size, err, STATUS_INPUT,
                        "%s: token id %ld at position %zu is outside the model's vocabulary of %zu", what,
                        (long)ids[i], i, vocab_size);
    return STATUS_OK;
}
