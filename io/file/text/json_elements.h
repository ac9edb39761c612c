// json_elements.h - the objects of a JSON text that is one array of them, or one object after the other over
// any lines, found one at a time as the text comes in: no more than one is held.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

// Takes an object's text, as it stands in the file, and the line on which it begins.
typedef enum status take_element(void *context, const char *element, size_t size, size_t line,
                                 struct error *err);

struct json_elements {
    const char *path; // for messages
    take_element *take;
    void *context;
    // The rest begins as zeros.
    enum { BEFORE_ALL = 0, BEFORE_FIRST, BEFORE_NEXT, IN_ELEMENT, AFTER_ELEMENT, AFTER_ARRAY } state;
    bool is_array;
    size_t depth; // of brackets in the element
    bool in_string, is_escaped;
    size_t newlines, first_line; // seen so far; where the element begins
    char *element;               // [size], read so far
    size_t size, capacity;
};

// Whether a text that begins so is an array of objects, or an object, as far as can be seen: "[{", "[]" or
// "{", then a member's name and a colon.
bool json_begins_array(const char *text, size_t size);
bool json_begins_object(const char *text, size_t size);

// The next bytes of the text. STATUS_INPUT "PATH:LINE: ..." for what is no object between the objects, and
// what `take` returns when it fails.
enum status json_elements_feed(struct json_elements *elements, const char *bytes, size_t size,
                               struct error *err);
// STATUS_INPUT where the text ends inside the array or an object.
enum status json_elements_end(struct json_elements *elements, struct error *err);
void json_elements_free(struct json_elements *elements); // its text; zeroed is fine
