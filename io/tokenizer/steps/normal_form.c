// Normal forms. utf8proc decomposes and composes; the canonical ordering in between is done here, because
// utf8proc's own is quadratic in the length of a run of combining marks.
#include "io/tokenizer/unicode.h"
#include "io/tokenizer/unicode_data.h"

#include <stdlib.h>
#include <utf8proc.h>

struct code_points {
    utf8proc_int32_t *items;
    size_t count;
    size_t capacity;
};

static unsigned combining_class(utf8proc_int32_t code_point)
{
    return (unsigned)utf8proc_get_property(code_point)->combining_class;
}

// Sorts a run of marks by combining class and keeps the order of equals: a counting sort when the run is
// long.
static enum status order_marks(utf8proc_int32_t *marks, size_t count, struct error *err)
{
    const size_t classes = 256;
    size_t starts[257] = {0};
    utf8proc_int32_t *sorted;

    if (count <= 32) {
        for (size_t i = 1; i < count; i++) {
            const utf8proc_int32_t mark = marks[i];
            size_t at = i;
            for (; at > 0 && combining_class(marks[at - 1]) > combining_class(mark); at--)
                marks[at] = marks[at - 1];
            marks[at] = mark;
        }
        return STATUS_OK;
    }
    FORWARD_IF_ERROR(allocate(&sorted, count, sizeof *sorted, "ordering combining marks", err));
    for (size_t i = 0; i < count; i++)
        starts[(combining_class(marks[i]) & 0xff) + 1]++;
    for (size_t i = 1; i <= classes; i++)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < count; i++)
        sorted[starts[combining_class(marks[i]) & 0xff]++] = marks[i];
    for (size_t i = 0; i < count; i++)
        marks[i] = sorted[i];
    free(sorted);
    return STATUS_OK;
}

static enum status decompose(struct code_points *buffer, const char *bytes, size_t size, bool compatible,
                             struct error *err)
{
    const utf8proc_option_t options =
        (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
    size_t length = 0;

    buffer->count = 0;
    for (size_t at = 0; at < size; at += length) {
        const utf8proc_int32_t code_point = (utf8proc_int32_t)utf8_decode(bytes + at, &length);
        const size_t longest = 32; // U+FDFA has 18
        int boundary = 0;
        utf8proc_ssize_t added;

        FORWARD_IF_ERROR(grow(&buffer->items, &buffer->capacity, buffer->count + longest,
                              sizeof *buffer->items, "normalising text", err));
        added = utf8proc_decompose_char(code_point, buffer->items + buffer->count, (utf8proc_ssize_t)longest,
                                        options, &boundary);
        RETURN_ERROR_IF(added < 0 || (size_t)added > longest, err, STATUS_FAILED,
                        "utf8proc cannot decompose U+%04X: %s", (unsigned)code_point,
                        added < 0 ? utf8proc_errmsg(added) : "too long");
        buffer->count += (size_t)added;
    }
    for (size_t i = 0; i < buffer->count;) {
        size_t end = i;
        while (end < buffer->count && combining_class(buffer->items[end]) != 0)
            end++;
        if (end > i + 1)
            FORWARD_IF_ERROR(order_marks(buffer->items + i, end - i, err));
        i = end > i ? end : i + 1;
    }
    return STATUS_OK;
}

// One stretch whose ends no composition or reordering can cross.
static enum status normalize_stretch(enum unicode_form form, const char *bytes, size_t size,
                                     struct code_points *buffer, struct text *out, struct error *err)
{
    FORWARD_IF_ERROR(decompose(buffer, bytes, size, form == UNICODE_NFKC || form == UNICODE_NFKD, err));
    if (form == UNICODE_NFC || form == UNICODE_NFKC) {
        const utf8proc_ssize_t count =
            utf8proc_normalize_utf32(buffer->items, (utf8proc_ssize_t)buffer->count,
                                     (utf8proc_option_t)(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
        RETURN_ERROR_IF(count < 0, err, STATUS_FAILED, "utf8proc cannot compose: %s", utf8proc_errmsg(count));
        buffer->count = (size_t)count;
    }
    for (size_t i = 0; i < buffer->count; i++)
        FORWARD_IF_ERROR(text_append_code_point(out, (uint32_t)buffer->items[i], err));
    return STATUS_OK;
}

// Below this code point every character is its own normal form and leaves those before it alone.
static uint32_t first_affected(enum unicode_form form)
{
    switch (form) {
    case UNICODE_NFC:
        return 0x300;
    case UNICODE_NFD:
        return 0xc0;
    case UNICODE_NFKC:
    case UNICODE_NFKD:
        break;
    }
    return 0xa0;
}

// ASCII and CJK ideographs: their own normal form, and nothing before them composes or changes places with
// them. Text can be cut in front of each.
static bool begins_stretch(uint32_t code_point)
{
    return code_point < 0x80 || (code_point >= 0x4e00 && code_point <= 0x9fff) ||
           (code_point >= 0x3400 && code_point <= 0x4dbf);
}

// Stays as it is whatever stands around it: text can be cut on both sides.
static bool is_inert(uint32_t code_point)
{
    return code_point >= 0x7fd && unicode_find_range(unicode_inert, unicode_inert_count, code_point) != NULL;
}

static enum status normalize(enum unicode_form form, const struct text *in, struct text *out,
                             struct error *err)
{
    const uint32_t affected = first_affected(form);
    struct code_points buffer = {0};
    enum status status = STATUS_OK;
    size_t copied = 0; // what comes before is in out
    size_t cut = 0;    // the last place before `at` where text can be cut
    size_t size = 0;

    for (size_t at = 0; at < in->size; at += size) {
        uint32_t code_point = utf8_decode(in->bytes + at, &size);
        if (begins_stretch(code_point)) {
            cut = at;
            continue;
        }
        if (code_point < affected)
            continue;
        if (is_inert(code_point)) {
            cut = at + size;
            continue;
        }
        GOTO_IF_ERROR(text_append(out, in->bytes + copied, cut - copied, err), done);
        for (at += size; at < in->size; at += size) {
            code_point = utf8_decode(in->bytes + at, &size);
            if (begins_stretch(code_point) || is_inert(code_point))
                break;
        }
        GOTO_IF_ERROR(normalize_stretch(form, in->bytes + cut, at - cut, &buffer, out, err), done);
        copied = at;
        cut = at;
        size = 0;
    }
    GOTO_IF_ERROR(text_append(out, in->bytes + copied, in->size - copied, err), done);
done:
    free(buffer.items);
    return status;
}

// The leading characters of out that stand for the origin of in: as many as its normal form has by itself.
static enum status set_origin(enum unicode_form form, const struct text *in, struct text *out,
                              struct error *err)
{
    const struct text origin = {.bytes = in->bytes, .size = in->origin_bytes};
    struct text alone = {0};
    const enum status status = normalize(form, &origin, &alone, err);
    size_t size = 0;

    for (size_t at = 0; at < alone.size && out->origin_bytes < out->size; at += size) {
        (void)utf8_decode(out->bytes + out->origin_bytes, &size);
        out->origin_bytes += size;
        (void)utf8_decode(alone.bytes + at, &size);
    }
    text_free(&alone);
    return status;
}

enum status unicode_normalize(enum unicode_form form, const struct text *in, struct text *out,
                              struct error *err)
{
    FORWARD_IF_ERROR(normalize(form, in, out, err));
    return in->origin_bytes > 0 ? set_origin(form, in, out, err) : STATUS_OK;
}
