#include "io/tokenizer_unicode.h"

#include <utf8proc.h>

bool unicode_is_whitespace(uint32_t code_point)
{
    if (code_point < 0x80)
        return code_point == ' ' || (code_point >= '\t' && code_point <= '\r');
    return code_point == 0x85 || code_point == 0xa0 || code_point == 0x1680 ||
           (code_point >= 0x2000 && code_point <= 0x200a) || code_point == 0x2028 || code_point == 0x2029 ||
           code_point == 0x202f || code_point == 0x205f || code_point == 0x3000;
}

bool unicode_is_numeric(uint32_t code_point)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

bool unicode_is_punctuation(uint32_t code_point)
{
    if (code_point < 0x80)
        return (code_point >= '!' && code_point <= '/') || (code_point >= ':' && code_point <= '@') ||
               (code_point >= '[' && code_point <= '`') || (code_point >= '{' && code_point <= '~');
    switch (utf8proc_category((utf8proc_int32_t)code_point)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return true;
    default:
        return false;
    }
}

bool unicode_is_mark(uint32_t code_point)
{
    const utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)code_point);
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME;
}

bool unicode_is_word(uint32_t code_point)
{
    switch (utf8proc_category((utf8proc_int32_t)code_point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return true;
    default: // Alphabetic without being a letter: letters in circles and squares; and Join_Control
        return (code_point >= 0x24b6 && code_point <= 0x24e9) ||
               (code_point >= 0x1f130 && code_point <= 0x1f149) ||
               (code_point >= 0x1f150 && code_point <= 0x1f169) ||
               (code_point >= 0x1f170 && code_point <= 0x1f189) || code_point == 0x200c ||
               code_point == 0x200d;
    }
}

enum status unicode_lowercase(const struct text *in, struct text *out, struct error *err)
{
    size_t size = 0;

    for (size_t at = 0; at < in->size; at += size) {
        const uint32_t code_point = utf8_decode(in->bytes + at, &size);
        FORWARD_IF_ERROR(
            text_append_code_point(out, (uint32_t)utf8proc_tolower((utf8proc_int32_t)code_point), err));
        if (code_point == 0x130) // LATIN CAPITAL LETTER I WITH DOT ABOVE becomes i and the dot
            FORWARD_IF_ERROR(text_append_code_point(out, 0x307, err));
        if (at < in->origin_bytes)
            out->origin_bytes = out->size;
    }
    return STATUS_OK;
}
