#include "io/tokenizer/bytes.h"

#include <stdbool.h>

static bool stays(unsigned byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

// The character that stands for byte.
static unsigned character_of(unsigned byte)
{
    if (stays(byte))
        return byte;
    if (byte <= 0x20)
        return 0x100 + byte;
    if (byte <= 0xa0)
        return 0x121 + byte - 0x7f; // 0x7f to 0xa0 follow the first 33
    return 0x143;                   // 0xad
}

enum status byte_level_append(struct text *out, const char *bytes, size_t size, struct error *err)
{
    size_t most = 2 * size;
    char *to;

    if (size == 0) // and there may be no buffer yet
        return STATUS_OK;
    if (out->limit > 0 && most > out->limit - out->size) // near the limit it must be exact
        for (size_t i = most = 0; i < size; i++)
            most += character_of((unsigned char)bytes[i]) < 0x80 ? 1 : 2;
    FORWARD_IF_ERROR(text_reserve(out, most, err));
    to = out->bytes + out->size;
    for (size_t i = 0; i < size; i++) {
        const unsigned character = character_of((unsigned char)bytes[i]);
        if (character < 0x80) {
            *to++ = (char)character;
        } else {
            *to++ = (char)(0xc0 | character >> 6);
            *to++ = (char)(0x80 | (character & 0x3f));
        }
    }
    out->size = (size_t)(to - out->bytes);
    return STATUS_OK;
}
