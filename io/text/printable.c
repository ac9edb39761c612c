#include "io/text/printable.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool is_printable_character(utf8proc_int32_t code_point)
{
    switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return false;
    default:
        // Embeddings, overrides and isolates of direction; U+xxFFFE and U+xxFFFF, which YAML does not allow.
        return !(code_point >= 0x202a && code_point <= 0x202e) &&
               !(code_point >= 0x2066 && code_point <= 0x2069) && (code_point & 0xfffe) != 0xfffe;
    }
}

size_t printable_next(char shown[PRINTABLE_CHARACTER], const char *text, size_t size)
{
    utf8proc_int32_t code_point;

    shown[0] = '\0';
    if (size == 0)
        return 0;
    const utf8proc_ssize_t length =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &code_point);
    if (length <= 0) {
        memcpy(shown, "\xef\xbf\xbd", 4);
        return 1;
    }
    if (is_printable_character(code_point))
        memcpy(shown, text, (size_t)length);
    else
        shown[0] = ' ';
    shown[is_printable_character(code_point) ? length : 1] = '\0';
    return (size_t)length;
}

char *printable_copy(const char *text, size_t size)
{
    char *copy = malloc(3 * size + PRINTABLE_CHARACTER), *to = copy; // a byte that is no UTF-8 becomes three

    if (copy == NULL)
        return NULL;
    for (size_t taken; (taken = printable_next(to, text, size)) > 0; text += taken, size -= taken)
        to += strlen(to);
    return copy;
}

// The bytes of the character at text, negative when it is none to be shown; 0 at the end.
static int next_character(const char *text, size_t size)
{
    utf8proc_int32_t code_point;

    if (size == 0)
        return 0;
    const utf8proc_ssize_t length =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, &code_point);
    if (length <= 0)
        return -1;
    return is_printable_character(code_point) ? (int)length : -(int)length;
}

bool is_printable_text(const char *text, size_t size)
{
    int length;
    for (; (length = next_character(text, size)) > 0; size -= (size_t)length)
        text += length;
    return length == 0;
}

void make_printable(char *text)
{
    size_t size = strlen(text);
    char *to = text;
    int length;

    for (const char *from = text; (length = next_character(from, size)) != 0;) {
        const size_t taken = (size_t)(length > 0 ? length : -length);
        if (length > 0) {
            memmove(to, from, taken);
            to += taken;
        } else {
            *to++ = ' ';
        }
        from += taken;
        size -= taken;
    }
    *to = '\0';
}
