#include "io/tokenizer/text.h"

#include "io/file/limits.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum status grow(void *items, size_t *capacity, size_t needed, size_t size, const char *purpose,
                 struct error *err)
{
    void *memory;
    size_t wanted = *capacity + *capacity / 2;

    if (needed <= *capacity)
        return STATUS_OK;
    if (wanted < needed)
        wanted = needed;
    if (wanted < 16)
        wanted = 16;
    RETURN_ERROR_IF(wanted > SIZE_MAX / size, err, STATUS_MEMORY, "out of memory: %zu x %zu bytes for %s",
                    wanted, size, purpose);
    memcpy(&memory, items, sizeof memory);
    memory = realloc(memory, wanted * size);
    RETURN_ERROR_IF(memory == NULL, err, STATUS_MEMORY, "out of memory: %zu x %zu bytes for %s", wanted, size,
                    purpose);
    memcpy(items, &memory, sizeof memory);
    *capacity = wanted;
    return STATUS_OK;
}

enum status text_reserve(struct text *text, size_t more, struct error *err)
{
    RETURN_ERROR_IF(text->limit > 0 && more > text->limit - text->size, err, STATUS_INPUT,
                    "tokenizer: a text grows beyond %zu bytes as it is normalised and cut", text->limit);
    return grow(&text->bytes, &text->capacity, text->size + more, 1, "a text to tokenise", err);
}

enum status text_append(struct text *text, const char *bytes, size_t size, struct error *err)
{
    if (size == 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(text_reserve(text, size, err));
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    return STATUS_OK;
}

enum status text_append_code_point(struct text *text, uint32_t code_point, struct error *err)
{
    utf8proc_uint8_t encoded[4];
    utf8proc_ssize_t size = utf8proc_encode_char((utf8proc_int32_t)code_point, encoded);
    return text_append(text, (const char *)encoded, (size_t)size, err);
}

size_t text_limit(size_t size)
{
    const size_t least = LIMIT_FREE_GROWTH_BYTES;
    return size < (SIZE_MAX - least) / LIMIT_GROWTH ? LIMIT_GROWTH * size + least : SIZE_MAX;
}

void text_clear(struct text *text)
{
    text->size = 0;
    text->origin_bytes = 0;
}

void text_trim(struct text *text)
{
    const size_t usual = (size_t)1 << 20;
    const struct text empty = {.limit = text->limit};

    if (text->capacity <= usual)
        return;
    free(text->bytes);
    *text = empty;
}

void text_free(struct text *text)
{
    free(text->bytes);
    *text = (struct text){0};
}

void text_swap(struct text *one, struct text *other)
{
    struct text kept = *one;
    *one = *other;
    *other = kept;
}

enum status pieces_append(struct pieces *pieces, size_t start, size_t size, struct error *err)
{
    if (pieces->count == pieces->capacity)
        FORWARD_IF_ERROR(grow(&pieces->items, &pieces->capacity, pieces->count + 1, sizeof *pieces->items,
                              "the pieces of a text", err));
    pieces->items[pieces->count++] = (struct piece){.start = start, .size = size};
    return STATUS_OK;
}

void pieces_find_origin(struct pieces *pieces, size_t origin_bytes)
{
    pieces->at_origin = 0;
    while (pieces->at_origin < pieces->count && pieces->items[pieces->at_origin].start < origin_bytes)
        pieces->at_origin++;
}

void pieces_free(struct pieces *pieces)
{
    free(pieces->items);
    *pieces = (struct pieces){0};
}

void pieces_swap(struct pieces *one, struct pieces *other)
{
    struct pieces kept = *one;
    *one = *other;
    *other = kept;
}

enum status ids_append(struct ids *ids, const int32_t *items, size_t count, struct error *err)
{
    if (count == 0)
        return STATUS_OK;
    FORWARD_IF_ERROR(
        grow(&ids->items, &ids->capacity, ids->count + count, sizeof *ids->items, "token ids", err));
    memcpy(ids->items + ids->count, items, count * sizeof *items);
    ids->count += count;
    return STATUS_OK;
}

bool utf8_check(const char *bytes, size_t size, size_t *offset)
{
    size_t at = 0;

    while (at < size) {
        uint64_t eight;
        utf8proc_int32_t code_point;
        utf8proc_ssize_t length;

        if (size - at >= sizeof eight) { // most text is ASCII
            memcpy(&eight, bytes + at, sizeof eight);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof eight;
                continue;
            }
        }
        if ((unsigned char)bytes[at] < 0x80) {
            at++;
            continue;
        }
        length = utf8proc_iterate((const utf8proc_uint8_t *)bytes + at,
                                  (utf8proc_ssize_t)(size - at < 4 ? size - at : 4), &code_point);
        if (length < 0) {
            *offset = at;
            return false;
        }
        at += (size_t)length;
    }
    return true;
}

size_t utf8_previous(const char *bytes, size_t end)
{
    do
        end--;
    while (((unsigned char)bytes[end] & 0xc0) == 0x80);
    return end;
}
