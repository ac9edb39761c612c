#include "io/tokenizer/unicode.h"

#include "io/tokenizer/unicode_data.h"
#include <utf8proc.h>

const struct unicode_range *unicode_find_range(const struct unicode_range *ranges, size_t count,
                                               uint32_t code_point)
{
    size_t low = 0;
    size_t high = count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (ranges[middle].last < code_point)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].first <= code_point ? &ranges[low] : NULL;
}

static utf8proc_category_t category_of(uint32_t code_point)
{
    return utf8proc_category((utf8proc_int32_t)code_point);
}

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
    const struct unicode_range *correction =
        unicode_find_range(unicode_numeric_corrections, unicode_numeric_corrections_count, code_point);
    const utf8proc_category_t category = category_of(code_point);

    if (correction != NULL)
        return correction->value != 0;
    return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
           category == UTF8PROC_CATEGORY_NO;
}

bool unicode_is_punctuation(uint32_t code_point)
{
    const struct unicode_range *correction;

    if (code_point < 0x80)
        return (code_point >= '!' && code_point <= '/') || (code_point >= ':' && code_point <= '@') ||
               (code_point >= '[' && code_point <= '`') || (code_point >= '{' && code_point <= '~');
    correction = unicode_find_range(unicode_punctuation_corrections, unicode_punctuation_corrections_count,
                                    code_point);
    if (correction != NULL)
        return correction->value != 0;
    switch (category_of(code_point)) {
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
    const struct unicode_range *correction =
        unicode_find_range(unicode_mark_corrections, unicode_mark_corrections_count, code_point);
    const utf8proc_category_t category = category_of(code_point);

    if (correction != NULL)
        return correction->value != 0;
    return category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC ||
           category == UTF8PROC_CATEGORY_ME;
}

bool unicode_is_word(uint32_t code_point)
{
    const struct unicode_range *correction =
        unicode_find_range(unicode_word_corrections, unicode_word_corrections_count, code_point);

    if (correction != NULL)
        return correction->value != 0;
    switch (category_of(code_point)) {
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

static uint32_t lower_of(uint32_t code_point)
{
    const struct unicode_range *correction =
        unicode_find_range(unicode_lower_corrections, unicode_lower_corrections_count, code_point);

    if (correction != NULL)
        return (uint32_t)((int32_t)code_point + correction->value);
    return (uint32_t)utf8proc_tolower((utf8proc_int32_t)code_point);
}

enum status unicode_lowercase(const struct text *in, struct text *out, struct error *err)
{
    size_t size = 0;

    for (size_t at = 0; at < in->size; at += size) {
        const uint32_t code_point = utf8_decode(in->bytes + at, &size);
        FORWARD_IF_ERROR(text_append_code_point(out, lower_of(code_point), err));
        if (code_point == 0x130) // LATIN CAPITAL LETTER I WITH DOT ABOVE becomes i and the dot
            FORWARD_IF_ERROR(text_append_code_point(out, 0x307, err));
        if (at < in->origin_bytes)
            out->origin_bytes = out->size;
    }
    return STATUS_OK;
}
