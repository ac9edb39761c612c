// text.h - the text that the steps of a tokenizer hand on, and the pieces it is cut into.
//
// Text is UTF-8 that was checked once, when it came in (utf8_check); every step keeps it valid, so that the
// decoding here looks at no errors.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

// Bytes that someone else owns.
struct slice {
    const char *bytes;
    size_t size;
};

// A growing string, of at most `limit` bytes (0: any number). origin_bytes is how many of its leading bytes
// stand for the first character of the input: Metaspace with prepend_scheme "first" asks for that after any
// number of other steps.
struct text {
    char *bytes;
    size_t size;
    size_t capacity;
    size_t origin_bytes;
    size_t limit;
};

// A part of a text; parts follow each other and do not overlap. They need not cover the text.
struct piece {
    size_t start;
    size_t size;
};

// at_origin counts the leading pieces that begin where the input begins (more than one only when a step cut
// what had been one character).
struct pieces {
    struct piece *items;
    size_t count;
    size_t capacity;
    size_t at_origin;
};

// Ids under way. Freed with free(items).
struct ids {
    int32_t *items;
    size_t count;
    size_t capacity;
};

// Grows *items, an array of elements of `size` bytes, until it holds at least `needed` elements.
enum status grow(void *items, size_t *capacity, size_t needed, size_t size, const char *purpose,
                 struct error *err);

// Room for `more` bytes behind the text. Beyond its limit: STATUS_INPUT.
enum status text_reserve(struct text *text, size_t more, struct error *err);
enum status text_append(struct text *text, const char *bytes, size_t size, struct error *err);
enum status text_append_code_point(struct text *text, uint32_t code_point, struct error *err);
// The limit of what a text of so many bytes may become: 64 times as many and a mebibyte. The longest normal
// form of a character is 11 times as long, in ByteLevel's writing 22 times; what grows beyond that was made
// to grow.
size_t text_limit(size_t size);
void text_clear(struct text *text); // keeps the memory and the limit
void text_trim(struct text *text);  // gives back the memory of a large one, the contents with it
void text_free(struct text *text);
void text_swap(struct text *one, struct text *other);

enum status pieces_append(struct pieces *pieces, size_t start, size_t size, struct error *err);
void pieces_find_origin(struct pieces *pieces, size_t origin_bytes); // sets at_origin
void pieces_free(struct pieces *pieces);
void pieces_swap(struct pieces *one, struct pieces *other);

enum status ids_append(struct ids *ids, const int32_t *items, size_t count, struct error *err);

// True if all is UTF-8 (no surrogates, nothing overlong, at most U+10FFFF); else *offset is where the first
// bad sequence begins.
bool utf8_check(const char *bytes, size_t size, size_t *offset);

// The code point at bytes; *size is how many bytes it has. Only for checked text.
static inline uint32_t utf8_decode(const char *bytes, size_t *size)
{
    const unsigned char *b = (const unsigned char *)bytes;
    if (b[0] < 0x80) {
        *size = 1;
        return b[0];
    }
    if (b[0] < 0xe0) {
        *size = 2;
        return (uint32_t)(b[0] & 0x1f) << 6 | (uint32_t)(b[1] & 0x3f);
    }
    if (b[0] < 0xf0) {
        *size = 3;
        return (uint32_t)(b[0] & 0x0f) << 12 | (uint32_t)(b[1] & 0x3f) << 6 | (uint32_t)(b[2] & 0x3f);
    }
    *size = 4;
    return (uint32_t)(b[0] & 0x07) << 18 | (uint32_t)(b[1] & 0x3f) << 12 | (uint32_t)(b[2] & 0x3f) << 6 |
           (uint32_t)(b[3] & 0x3f);
}

// Where the code point that ends before `end` begins; end > 0.
size_t utf8_previous(const char *bytes, size_t end);
