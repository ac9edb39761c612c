#include "io/tokenizer/steps/precompiled.h"

#include "io/tokenizer/unicode.h"
#include <stdlib.h>
#include <string.h>

struct precompiled {
    unsigned char *bytes;  // of the whole charsmap
    const uint32_t *units; // of the double array, in this machine's order of bytes
    size_t unit_count;
    struct slice strings; // each ends with a NUL
};

// ---- reading
// -----------------------------------------------------------------------------------------------

static int digit_of(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

// *size bytes, at most 3 for every 4 characters.
static enum status decode_base64(unsigned char *bytes, size_t *size, struct slice text, struct error *err)
{
    size_t length = text.size;
    uint32_t bits = 0;

    RETURN_ERROR_IF(text.size % 4 != 0, err, STATUS_INPUT, "\"precompiled_charsmap\" is not base64");
    for (size_t i = 0; i < 2 && length > 0 && text.bytes[length - 1] == '='; i++)
        length--;
    *size = 0;
    for (size_t i = 0; i < length; i++) {
        const int digit = digit_of(text.bytes[i]);
        RETURN_ERROR_IF(digit < 0, err, STATUS_INPUT,
                        "\"precompiled_charsmap\" is not base64 at character %zu", i);
        bits = bits << 6 | (uint32_t)digit;
        if (i % 4 != 0)
            bytes[(*size)++] = (unsigned char)(bits >> (6 - i % 4 * 2));
    }
    return STATUS_OK;
}

static uint32_t little_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static enum status take_apart(struct precompiled *map, size_t size, struct error *err)
{
    const size_t head = sizeof(uint32_t);
    size_t offset = 0;

    RETURN_ERROR_IF(size < 2 * head || little_endian(map->bytes) / head > (size - head) / head ||
                        little_endian(map->bytes) < head,
                    err, STATUS_INPUT, "\"precompiled_charsmap\" is cut off");
    map->unit_count = little_endian(map->bytes) / head;
    // In place: the bytes begin where malloc began.
    uint32_t *units = (uint32_t *)(void *)map->bytes + 1;
    for (size_t i = 0; i < map->unit_count; i++)
        units[i] = little_endian(map->bytes + head + i * head);
    map->units = units;
    map->strings =
        (struct slice){(const char *)(units + map->unit_count), size - head - map->unit_count * head};
    RETURN_ERROR_IF(!utf8_check(map->strings.bytes, map->strings.size, &offset), err, STATUS_INPUT,
                    "\"precompiled_charsmap\" has a string that is not UTF-8");
    return STATUS_OK;
}

enum status precompiled_new(struct precompiled **out, struct slice charsmap, struct error *err)
{
    struct precompiled *map;
    size_t size = 0;
    enum status status;

    FORWARD_IF_ERROR(allocate(&map, 1, sizeof *map, "a character map", err));
    GOTO_IF_ERROR(allocate(&map->bytes, charsmap.size, 1, "a character map", err), done);
    GOTO_IF_ERROR(decode_base64(map->bytes, &size, charsmap, err), done);
    status = take_apart(map, size, err);
done:
    if (status != STATUS_OK)
        precompiled_free(map);
    else
        *out = map;
    return status;
}

void precompiled_free(struct precompiled *map)
{
    if (map == NULL)
        return;
    free(map->bytes);
    free(map);
}

// ---- looking up
// --------------------------------------------------------------------------------------------

static size_t offset_of(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 0x200) >> 6);
}

// The string of the shortest prefix of key in the map; false without one, or where the map is damaged.
static bool look_up(const struct precompiled *map, struct slice key, struct slice *string)
{
    size_t node = offset_of(map->units[0]);

    for (size_t i = 0; i < key.size && key.bytes[i] != '\0'; i++) {
        const unsigned char byte = (unsigned char)key.bytes[i];
        node ^= byte;
        if (node >= map->unit_count || (map->units[node] & 0x800000ff) != byte)
            return false;
        const uint32_t unit = map->units[node];
        node ^= offset_of(unit);
        if ((unit & 0x100) == 0)
            continue;
        const size_t start = node < map->unit_count ? map->units[node] & 0x7fffffff : SIZE_MAX;
        if (start > map->strings.size ||
            (start < map->strings.size && ((unsigned char)map->strings.bytes[start] & 0xc0) == 0x80))
            return false;
        const char *end = memchr(map->strings.bytes + start, '\0', map->strings.size - start);
        *string = (struct slice){map->strings.bytes + start, end != NULL
                                                                 ? (size_t)(end - map->strings.bytes) - start
                                                                 : map->strings.size - start};
        return true;
    }
    return false;
}

// ---- rewriting
// ---------------------------------------------------------------------------------------------

// `tokenizers` keeps for every new character which old one it stands for, by counting: a character takes the
// place of the next old one and of `removes` more, or none when it is added. The count is off where a string
// is empty and there is nothing before it; this counts in the same way, for the origin of the text depends on
// it.
struct rewriting {
    const struct text *in;
    struct text *out;
    size_t taken; // bytes of in whose places are taken
    // The last character is kept back: what is removed after it counts for it.
    char last[4];
    size_t last_size; // 0: none yet
    long last_change; // 1: added; 0: replaces one; -n: and removes n more
};

static enum status put_last(struct rewriting *r, struct error *err)
{
    const struct text *in = r->in;
    size_t size = 0;

    if (r->last_size == 0)
        return STATUS_OK;
    const bool at_origin =
        r->last_change > 0 ? r->taken == 0 || r->taken - 1 < in->origin_bytes : r->taken < in->origin_bytes;
    for (long i = r->last_change; i <= 0 && r->taken < in->size; i++) {
        (void)utf8_decode(in->bytes + r->taken, &size);
        r->taken += size;
    }
    FORWARD_IF_ERROR(text_append(r->out, r->last, r->last_size, err));
    if (at_origin && in->origin_bytes > 0)
        r->out->origin_bytes = r->out->size;
    r->last_size = 0;
    return STATUS_OK;
}

static enum status put(struct rewriting *r, const char *character, size_t size, long change,
                       struct error *err)
{
    FORWARD_IF_ERROR(put_last(r, err));
    memcpy(r->last, character, size);
    r->last_size = size;
    r->last_change = change;
    return STATUS_OK;
}

static size_t count_characters(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.bytes[i] & 0xc0) != 0x80;
    return count;
}

static enum status replace(struct rewriting *r, struct slice old, struct slice new, struct error *err)
{
    const size_t old_count = count_characters(old), new_count = count_characters(new);
    size_t size = 0, index = 0;

    for (size_t at = 0; at < new.size; at += size, index++) {
        (void)utf8_decode(new.bytes + at, &size);
        FORWARD_IF_ERROR(put(r, new.bytes + at, size, index >= old_count ? 1 : 0, err));
    }
    if (new_count < old_count && r->last_size > 0)
        r->last_change -= (long)(old_count - new_count);
    return STATUS_OK;
}

static enum status rewrite_grapheme(const struct precompiled *map, struct rewriting *r, struct slice grapheme,
                                    struct error *err)
{
    const size_t longest = 5;
    struct slice string;
    size_t size = 0;

    if (grapheme.size <= longest && look_up(map, grapheme, &string))
        return replace(r, grapheme, string, err);
    for (size_t at = 0; at < grapheme.size; at += size) {
        const char *bytes = grapheme.bytes + at;
        (void)utf8_decode(bytes, &size);
        if (look_up(map, (struct slice){bytes, size}, &string))
            FORWARD_IF_ERROR(replace(r, (struct slice){bytes, size}, string, err));
        else
            FORWARD_IF_ERROR(put(r, bytes, size, 0, err));
    }
    return STATUS_OK;
}

enum status precompiled_apply(const struct precompiled *map, const struct text *in, struct text *out,
                              struct error *err)
{
    struct rewriting r = {.in = in, .out = out};

    for (size_t at = 0, end; at < in->size; at = end) {
        end = unicode_grapheme_end(in->bytes, in->size, at);
        FORWARD_IF_ERROR(rewrite_grapheme(map, &r, (struct slice){in->bytes + at, end - at}, err));
    }
    return put_last(&r, err);
}
