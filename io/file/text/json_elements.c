#include "io/file/text/json_elements.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_spaces(const char *text, size_t size, size_t at)
{
    while (at < size && is_space(text[at]))
        at++;
    return at;
}

// After `at`, which is behind the opening brace. An empty object is one as well.
static bool has_member(const char *text, size_t size, size_t at)
{
    at = skip_spaces(text, size, at);
    if (at < size && text[at] == '}')
        return true;
    if (at == size || text[at++] != '"')
        return false;
    while (at < size && text[at] != '"' && text[at] != '\n')
        at += text[at] == '\\' ? 2 : 1;
    at = skip_spaces(text, size, at + 1);
    return at < size && text[at] == ':';
}

bool json_begins_object(const char *text, size_t size)
{
    const size_t at = skip_spaces(text, size, 0);
    return at < size && text[at] == '{' && has_member(text, size, at + 1);
}

bool json_begins_array(const char *text, size_t size)
{
    size_t at = skip_spaces(text, size, 0);

    if (at == size || text[at] != '[')
        return false;
    at = skip_spaces(text, size, at + 1);
    if (at < size && text[at] == ']')
        return skip_spaces(text, size, at + 1) == size;
    return at < size && text[at] == '{' && has_member(text, size, at + 1);
}

static enum status keep(struct json_elements *elements, const char *bytes, size_t size, struct error *err)
{
    if (size > elements->capacity - elements->size) {
        RETURN_ERROR_IF(size > SIZE_MAX / 4 - elements->size, err, STATUS_MEMORY,
                        "%s:%zu: an object too large", elements->path, elements->first_line);
        const size_t wanted = elements->size + elements->size / 2 + size + 4096;
        char *grown = realloc(elements->element, wanted);
        RETURN_ERROR_IF(grown == NULL, err, STATUS_MEMORY, "%s:%zu: out of memory for an object of %zu bytes",
                        elements->path, elements->first_line, wanted);
        elements->element = grown;
        elements->capacity = wanted;
    }
    memcpy(elements->element + elements->size, bytes, size);
    elements->size += size;
    return STATUS_OK;
}

// Bytes of the element, up to its end or that of the bytes.
static size_t element_bytes(struct json_elements *elements, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const char c = bytes[i];
        elements->newlines += c == '\n';
        if (elements->is_escaped) {
            elements->is_escaped = false;
        } else if (elements->in_string) {
            elements->is_escaped = c == '\\';
            elements->in_string = c != '"';
        } else if (c == '"') {
            elements->in_string = true;
        } else if (c == '{' || c == '[') {
            elements->depth++;
        } else if ((c == '}' || c == ']') && --elements->depth == 0) {
            elements->state = AFTER_ELEMENT;
            return i + 1;
        }
    }
    return size;
}

static enum status refuse(const struct json_elements *elements, char found, struct error *err)
{
    static const char *const expected[] = {[BEFORE_ALL] = "an array of objects, or an object",
                                           [BEFORE_FIRST] = "an object, or the end of the array",
                                           [BEFORE_NEXT] = "an object",
                                           [AFTER_ELEMENT] = "a comma, or the end of the array",
                                           [AFTER_ARRAY] = "nothing after the array"};
    char shown[2] = {found, '\0'};
    if ((unsigned char)found < 0x20 || (unsigned char)found >= 0x7f)
        shown[0] = '?';
    RETURN_ERROR(err, STATUS_INPUT, "%s:%zu: not valid JSON: expected %s, found '%s'", elements->path,
                 elements->newlines + 1, expected[elements->state], shown);
}

// A character between the elements.
static enum status step(struct json_elements *elements, char c, struct error *err)
{
    const int state = (int)elements->state;

    if (is_space(c)) {
        elements->newlines += c == '\n';
    } else if (c == '[' && state == BEFORE_ALL) {
        elements->is_array = true;
        elements->state = BEFORE_FIRST;
    } else if (c == '{' && (state <= BEFORE_NEXT || (state == AFTER_ELEMENT && !elements->is_array))) {
        elements->state = IN_ELEMENT;
        elements->first_line = elements->newlines + 1;
        elements->size = 0;
    } else if (c == ',' && state == AFTER_ELEMENT && elements->is_array) {
        elements->state = BEFORE_NEXT;
    } else if (c == ']' && elements->is_array && (state == BEFORE_FIRST || state == AFTER_ELEMENT)) {
        elements->state = AFTER_ARRAY;
    } else {
        return refuse(elements, c, err);
    }
    return STATUS_OK;
}

enum status json_elements_feed(struct json_elements *elements, const char *bytes, size_t size,
                               struct error *err)
{
    for (size_t i = 0; i < size;) {
        if (elements->state != IN_ELEMENT) {
            FORWARD_IF_ERROR(step(elements, bytes[i], err));
            i += elements->state == IN_ELEMENT ? 0 : 1; // the brace belongs to the element
        }
        if (elements->state != IN_ELEMENT)
            continue;
        const size_t length = element_bytes(elements, bytes + i, size - i);
        FORWARD_IF_ERROR(keep(elements, bytes + i, length, err));
        i += length;
        if (elements->state == AFTER_ELEMENT)
            FORWARD_IF_ERROR(elements->take(elements->context, elements->element, elements->size,
                                            elements->first_line, err));
    }
    return STATUS_OK;
}

enum status json_elements_end(struct json_elements *elements, struct error *err)
{
    const int state = (int)elements->state;
    RETURN_ERROR_IF(state == IN_ELEMENT, err, STATUS_INPUT,
                    "%s:%zu: not valid JSON: the file ends inside the object that begins here",
                    elements->path, elements->first_line);
    RETURN_ERROR_IF(state == BEFORE_FIRST || state == BEFORE_NEXT ||
                        (state == AFTER_ELEMENT && elements->is_array),
                    err, STATUS_INPUT, "%s:%zu: not valid JSON: the file ends inside the array",
                    elements->path, elements->newlines + 1);
    return STATUS_OK;
}

void json_elements_free(struct json_elements *elements)
{
    free(elements->element);
    elements->element = NULL;
}
