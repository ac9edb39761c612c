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

bool unicode_is_nonspacing(uint32_t code_point)
{
    const struct unicode_range *correction =
        unicode_find_range(unicode_nonspacing_corrections, unicode_nonspacing_corrections_count, code_point);

    if (correction != NULL)
        return correction->value != 0;
    return category_of(code_point) == UTF8PROC_CATEGORY_MN;
}

bool unicode_is_other(uint32_t code_point)
{
    const struct unicode_range *correction;
    utf8proc_category_t category;

    if (code_point >= ' ' && code_point < 0x7f)
        return false;
    correction = unicode_find_range(unicode_other_corrections, unicode_other_corrections_count, code_point);
    if (correction != NULL)
        return correction->value != 0;
    category = category_of(code_point);
    return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
           category == UTF8PROC_CATEGORY_CO;
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

// ---- grapheme clusters
// ---------------------------------------------------------------------------------------

static utf8proc_int32_t as_in_clusters(uint32_t code_point)
{
    const struct unicode_range *range =
        unicode_find_range(unicode_cluster_stand_ins, unicode_cluster_stand_ins_count, code_point);
    return (utf8proc_int32_t)(range != NULL ? (uint32_t)range->value : code_point);
}

enum conjunct { CONJUNCT_NONE, CONJUNCT_CONSONANT, CONJUNCT_LINKER, CONJUNCT_ENDS };

static enum conjunct conjunct_of(uint32_t code_point)
{
    const struct unicode_range *range =
        code_point < 0x900 ? NULL
                           : unicode_find_range(unicode_conjuncts, unicode_conjuncts_count, code_point);
    return range != NULL ? (enum conjunct)range->value : CONJUNCT_NONE;
}

size_t unicode_grapheme_end(const char *bytes, size_t size, size_t at)
{
    utf8proc_int32_t state = 0, before;
    size_t length = 0;

    const uint32_t first = utf8_decode(bytes + at, &length);
    at += length;
    // Most text is ASCII, in which only a return and a line feed belong together.
    if (at < size && first < 0x80 && first != '\r' && (unsigned char)bytes[at] < 0x80)
        return at;
    // Rule GB9c, which utf8proc does not have: what was seen of a consonant and a linker after it.
    enum conjunct seen = conjunct_of(first) == CONJUNCT_CONSONANT ? CONJUNCT_CONSONANT : CONJUNCT_NONE;
    before = as_in_clusters(first);
    while (at < size) {
        const uint32_t code_point = utf8_decode(bytes + at, &length);
        const utf8proc_int32_t after = as_in_clusters(code_point);
        const enum conjunct kind = conjunct_of(code_point);
        const bool ends = utf8proc_grapheme_break_stateful(before, after, &state);

        if (ends && !(seen == CONJUNCT_LINKER && kind == CONJUNCT_CONSONANT))
            break;
        if (kind == CONJUNCT_CONSONANT || (kind == CONJUNCT_LINKER && seen != CONJUNCT_NONE))
            seen = kind;
        else if (kind == CONJUNCT_ENDS)
            seen = CONJUNCT_NONE;
        before = after;
        at += length;
    }
    return at;
}
