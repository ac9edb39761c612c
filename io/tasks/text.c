#include "io/tasks/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool is_space(utf8proc_int32_t code_point)
{
    const utf8proc_property_t *property = utf8proc_get_property(code_point);
    return property->category == UTF8PROC_CATEGORY_ZS || property->bidi_class == UTF8PROC_BIDI_CLASS_WS ||
           property->bidi_class == UTF8PROC_BIDI_CLASS_B || property->bidi_class == UTF8PROC_BIDI_CLASS_S;
}

// The character at text; its length in bytes, 1 for what is not UTF-8.
static size_t decode(utf8proc_int32_t *code_point, const char *text, size_t size)
{
    const utf8proc_ssize_t length =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)size, code_point);
    if (length <= 0)
        *code_point = 0xFFFD;
    return length <= 0 ? 1 : (size_t)length;
}

size_t blank_at_start(const char *text, size_t size)
{
    utf8proc_int32_t code_point;
    size_t at = 0;
    while (at < size) {
        const size_t length = decode(&code_point, text + at, size - at);
        if (!is_space(code_point))
            break;
        at += length;
    }
    return at;
}

size_t blank_at_end(const char *text, size_t size)
{
    utf8proc_int32_t code_point;
    size_t end = size;
    while (end > 0) {
        size_t begin = end - 1;
        while (begin > 0 && ((unsigned char)text[begin] & 0xC0) == 0x80)
            begin--;
        (void)decode(&code_point, text + begin, end - begin);
        if (!is_space(code_point))
            break;
        end = begin;
    }
    return size - end;
}

size_t count_characters(const char *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += ((unsigned char)text[i] & 0xC0) != 0x80;
    return count;
}

char *capitalised(const char *text)
{
    const size_t size = strlen(text);
    char *result =
        malloc(2 * size + 4); // a character in another case may take more bytes, never twice as many
    size_t from = 0, to = 0;

    while (result != NULL && from < size) {
        utf8proc_int32_t code_point;
        const size_t length = decode(&code_point, text + from, size - from);
        code_point = from == 0 ? utf8proc_totitle(code_point) : utf8proc_tolower(code_point);
        to += (size_t)utf8proc_encode_char(code_point, (utf8proc_uint8_t *)result + to);
        from += length;
    }
    if (result != NULL)
        result[to] = '\0';
    return result;
}

// Every `from` becomes `to`, which is not longer, from left to right.
static void replace_all(char *text, const char *from, const char *to)
{
    const size_t from_size = strlen(from), to_size = strlen(to);
    char *out = text;
    for (const char *in = text; *in != '\0';) {
        if (strncmp(in, from, from_size) == 0) {
            memcpy(out, to, to_size);
            out += to_size;
            in += from_size;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
}

static void drop_brackets(char *text)
{
    char *out = text;
    for (const char *in = text; *in != '\0';) {
        const size_t inside = *in == '[' ? strcspn(in, "]\n") : 0;
        if (*in == '[' && in[inside] == ']')
            in += inside + 1;
        else
            *out++ = *in++;
    }
    *out = '\0';
}

void clean_hellaswag(char *text)
{
    const size_t size = strlen(text), start = blank_at_start(text, size);
    const size_t end = start < size ? size - blank_at_end(text, size) : start;

    memmove(text, text + start, end - start);
    text[end - start] = '\0';
    replace_all(text, " [title]", ". ");
    drop_brackets(text);
    replace_all(text, "  ", " ");
}
