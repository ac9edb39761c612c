#include "io/tokenizer/steps/pre_tokenizer_steps.h"

#include "io/tokenizer/bytes.h"
#include <string.h>

void pre_tokenizer_work_free(struct pre_tokenizer_work *work)
{
    text_free(&work->text);
    text_free(&work->whole);
    text_free(&work->part);
    pieces_free(&work->pieces);
    pieces_free(&work->words);
}

void pre_tokenizer_work_limit(struct pre_tokenizer_work *work, size_t limit)
{
    work->text.limit = work->whole.limit = work->part.limit = limit;
}

// ---- cutting ---------------------------------------------------------------------------------------------

static enum status cut_at_pattern(const struct pre_tokenizer_step *step, struct slice text, size_t offset,
                                  struct splitter *splitter, struct error *err)
{
    struct pattern_search search;
    size_t previous = 0;

    FORWARD_IF_ERROR(pattern_begin(step->pattern, text, &search, err));
    for (;;) {
        bool found;
        size_t start = 0;
        size_t end = 0;
        FORWARD_IF_ERROR(pattern_next(step->pattern, &search, &found, &start, &end, err));
        if (!found)
            break;
        if (previous != start)
            FORWARD_IF_ERROR(splitter_add(splitter, offset + previous, offset + start, false, err));
        FORWARD_IF_ERROR(splitter_add(splitter, offset + start, offset + end, true, err));
        previous = end;
    }
    if (previous != text.size)
        FORWARD_IF_ERROR(splitter_add(splitter, offset + previous, offset + text.size, false, err));
    return STATUS_OK;
}

static enum status cut_at_characters(const struct pre_tokenizer_step *step, struct slice text, size_t offset,
                                     struct splitter *splitter, struct error *err)
{
    size_t previous = 0;
    size_t size = 0;

    for (size_t at = 0; at < text.size; at += size) {
        const uint32_t code_point = utf8_decode(text.bytes + at, &size);
        const bool match =
            step->is_delimiter != NULL ? step->is_delimiter(code_point) : code_point == step->delimiter;
        if (!match)
            continue;
        if (previous < at)
            FORWARD_IF_ERROR(splitter_add(splitter, offset + previous, offset + at, false, err));
        FORWARD_IF_ERROR(splitter_add(splitter, offset + at, offset + at + size, true, err));
        previous = at + size;
    }
    if (previous < text.size)
        FORWARD_IF_ERROR(splitter_add(splitter, offset + previous, offset + text.size, false, err));
    return STATUS_OK;
}

enum status pre_tokenizer_cut_stretch(const struct pre_tokenizer_step *step, struct slice stretch,
                                      size_t offset, struct splitter *splitter, struct error *err)
{
    FORWARD_IF_ERROR(step->pattern != NULL ? cut_at_pattern(step, stretch, offset, splitter, err)
                                           : cut_at_characters(step, stretch, offset, splitter, err));
    return splitter_end(splitter, err);
}

enum status pre_tokenizer_cut(const struct pre_tokenizer_step *step, struct text *text, struct pieces *pieces,
                              struct pre_tokenizer_work *work, struct error *err)
{
    struct pieces *out = &work->pieces;

    out->count = 0;
    for (size_t i = 0; i < pieces->count; i++) {
        const struct piece piece = pieces->items[i];
        const struct slice slice = {text->bytes + piece.start, piece.size};
        struct splitter splitter = {.behavior = step->behavior, .invert = step->invert, .pieces = out};
        FORWARD_IF_ERROR(pre_tokenizer_cut_stretch(step, slice, piece.start, &splitter, err));
    }
    pieces_find_origin(out, text->origin_bytes);
    pieces_swap(pieces, out);
    return STATUS_OK;
}

// ---- rewriting
// ---------------------------------------------------------------------------------------------

static bool begins_with(const struct text *text, struct piece piece, const char *string, size_t size)
{
    return piece.size >= size && memcmp(text->bytes + piece.start, string, size) == 0;
}

// The piece [start, text->size) of the new text was made of a piece of the old one.
static enum status close_rewritten(struct pieces *pieces, const struct text *text, size_t start,
                                   bool at_origin, struct error *err)
{
    if (text->size == start)
        return STATUS_OK;
    FORWARD_IF_ERROR(pieces_append(pieces, start, text->size - start, err));
    if (at_origin)
        pieces->at_origin = pieces->count;
    return STATUS_OK;
}

// The empty text and pieces that a step fills in place of those it was given.
static struct text *begin_rewriting(struct pre_tokenizer_work *work)
{
    text_clear(&work->text);
    work->pieces.count = 0;
    work->pieces.at_origin = 0;
    return &work->text;
}

enum status pre_tokenizer_add_space(const struct pre_tokenizer_step *step, struct text *text,
                                    struct pieces *pieces, struct pre_tokenizer_work *work, struct error *err)
{
    struct text *out = begin_rewriting(work);

    (void)step;
    for (size_t i = 0; i < pieces->count; i++) {
        const struct piece piece = pieces->items[i];
        const size_t start = out->size;
        if (!begins_with(text, piece, " ", 1))
            FORWARD_IF_ERROR(text_append(out, " ", 1, err));
        if (piece.start < text->origin_bytes)
            out->origin_bytes =
                out->size + (text->origin_bytes < piece.start + piece.size ? text->origin_bytes - piece.start
                                                                           : piece.size);
        FORWARD_IF_ERROR(text_append(out, text->bytes + piece.start, piece.size, err));
        FORWARD_IF_ERROR(close_rewritten(&work->pieces, out, start, i < pieces->at_origin, err));
    }
    text_swap(text, out);
    pieces_swap(pieces, &work->pieces);
    return STATUS_OK;
}

enum status pre_tokenizer_byte_level(const struct pre_tokenizer_step *step, struct text *text,
                                     struct pieces *pieces, struct pre_tokenizer_work *work,
                                     struct error *err)
{
    struct text *out = &work->text;

    (void)step;
    text_clear(out);
    FORWARD_IF_ERROR(grow(&out->bytes, &out->capacity, 2 * text->size, 1, "a text to tokenise", err));
    for (size_t i = 0; i < pieces->count; i++) {
        struct piece *piece = &pieces->items[i];
        const size_t start = out->size;
        const char *bytes = text->bytes + piece->start;
        size_t origin = piece->start < text->origin_bytes ? text->origin_bytes - piece->start : 0;
        if (origin > piece->size)
            origin = piece->size;
        FORWARD_IF_ERROR(byte_level_append(out, bytes, origin, err));
        if (origin > 0)
            out->origin_bytes = out->size;
        FORWARD_IF_ERROR(byte_level_append(out, bytes + origin, piece->size - origin, err));
        *piece = (struct piece){.start = start, .size = out->size - start};
    }
    text_swap(text, out);
    return STATUS_OK;
}

enum status pre_tokenizer_metaspace(const struct pre_tokenizer_step *step, struct text *text,
                                    struct pieces *pieces, struct pre_tokenizer_work *work, struct error *err)
{
    const size_t replacement_size = strlen(step->replacement);
    struct text *out = begin_rewriting(work);

    for (size_t i = 0; i < pieces->count; i++) {
        const struct piece piece = pieces->items[i];
        const size_t start = out->size;
        const size_t end = piece.start + piece.size;
        const bool at_origin = i < pieces->at_origin;

        if (!begins_with(text, piece, " ", 1) &&
            !begins_with(text, piece, step->replacement, replacement_size) &&
            (step->prepend_scheme == PREPEND_ALWAYS || (step->prepend_scheme == PREPEND_FIRST && at_origin)))
            FORWARD_IF_ERROR(text_append(out, step->replacement, replacement_size, err));
        for (size_t at = piece.start; at < end;) {
            const char *space = memchr(text->bytes + at, ' ', end - at);
            const size_t until = space != NULL ? (size_t)(space - text->bytes) : end;
            if (at < text->origin_bytes && until > at)
                out->origin_bytes =
                    out->size + (text->origin_bytes < until ? text->origin_bytes : until) - at;
            FORWARD_IF_ERROR(text_append(out, text->bytes + at, until - at, err));
            if (space == NULL)
                break;
            FORWARD_IF_ERROR(text_append(out, step->replacement, replacement_size, err));
            if (until < text->origin_bytes)
                out->origin_bytes = out->size;
            at = until + 1;
        }
        FORWARD_IF_ERROR(close_rewritten(&work->pieces, out, start, at_origin, err));
    }
    text_swap(text, out);
    pieces_swap(pieces, &work->pieces);
    return STATUS_OK;
}
