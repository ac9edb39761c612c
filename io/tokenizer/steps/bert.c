#include "io/tokenizer/steps/bert.h"

#include "io/tokenizer/unicode.h"

static bool is_unwanted(uint32_t c)
{
    return c == 0 || c == 0xfffd || (c != '\t' && c != '\n' && c != '\r' && unicode_is_other(c));
}

enum status bert_clean(const struct text *in, struct text *out, struct error *err)
{
    size_t size = 0;

    for (size_t at = 0; at < in->size; at += size) {
        const uint32_t c = utf8_decode(in->bytes + at, &size);
        if (is_unwanted(c))
            continue;
        FORWARD_IF_ERROR(unicode_is_whitespace(c) ? text_append(out, " ", 1, err)
                                                  : text_append(out, in->bytes + at, size, err));
        if (at < in->origin_bytes)
            out->origin_bytes = out->size;
    }
    return STATUS_OK;
}

static bool is_ideograph(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) ||
           (c >= 0x2b920 && c <= 0x2ceaf) || // the block begins at U+2B820: so it is in `tokenizers`
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

enum status bert_space_ideographs(const struct text *in, struct text *out, struct error *err)
{
    size_t size = 0;

    for (size_t at = 0; at < in->size; at += size) {
        const bool spaced = is_ideograph(utf8_decode(in->bytes + at, &size));
        if (spaced)
            FORWARD_IF_ERROR(text_append(out, " ", 1, err));
        FORWARD_IF_ERROR(text_append(out, in->bytes + at, size, err));
        if (spaced)
            FORWARD_IF_ERROR(text_append(out, " ", 1, err));
        if (at < in->origin_bytes)
            out->origin_bytes = out->size;
    }
    return STATUS_OK;
}

enum status bert_strip_accents(const struct text *in, struct text *out, struct error *err)
{
    size_t size = 0;

    for (size_t at = 0; at < in->size; at += size) {
        if (unicode_is_nonspacing(utf8_decode(in->bytes + at, &size)))
            continue;
        FORWARD_IF_ERROR(text_append(out, in->bytes + at, size, err));
        if (at < in->origin_bytes)
            out->origin_bytes = out->size;
    }
    return STATUS_OK;
}
