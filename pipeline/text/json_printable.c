#include "pipeline/text/json_printable.h"

#include "io/text/printable.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static json_t *text_of(const json_t *json)
{
    char *text = printable_copy(json_string_value(json), json_string_length(json));
    json_t *copy = text != NULL ? json_string(text) : NULL;
    free(text);
    return copy;
}

static json_t *array_of(const json_t *json)
{
    json_t *copy = json_array(), *value;
    size_t i;

    json_array_foreach(json, i, value)
    {
        if (json_array_append_new(copy, json_printable(value)) != 0) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

static json_t *object_of(const json_t *json)
{
    json_t *copy = json_object(), *value;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        char *shown = printable_copy(name, strlen(name));
        const int failed = shown == NULL || json_object_set_new(copy, shown, json_printable(value)) != 0;
        free(shown);
        if (failed) {
            json_decref(copy);
            return NULL;
        }
    }
    return copy;
}

// Jansson bounds the depth of what it reads, 2048.
json_t *json_printable(const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_STRING:
        return text_of(json);
    case JSON_ARRAY:
        return array_of(json);
    case JSON_OBJECT:
        return object_of(json);
    default:
        return json_incref((json_t *)(uintptr_t)json); // numbers and words are not changed by anybody
    }
}
