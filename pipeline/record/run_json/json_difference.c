#include "pipeline/record/run_json/json_difference.h"

#include "io/file/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The place where two values differ, and both values; NULL: missing.
struct difference {
    char path[256];
    const json_t *before, *now;
};

static bool differ(struct difference *difference, size_t length, const json_t *before, const json_t *now);

// Appends a step to the path and compares.
static bool differ_at(struct difference *difference, size_t length, const char *key, size_t index,
                      const json_t *before, const json_t *now)
{
    const size_t room = sizeof difference->path - length;
    const int used = key != NULL
                         ? snprintf(difference->path + length, room, "%s%s", length != 0 ? "." : "", key)
                         : snprintf(difference->path + length, room, "[%zu]", index);
    const size_t next =
        used >= 0 && (size_t)used < room ? length + (size_t)used : sizeof difference->path - 1;

    return differ(difference, next, before, now);
}

static bool objects_differ(struct difference *difference, size_t length, const json_t *before,
                           const json_t *now)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)before, key, value)
    {
        if (differ_at(difference, length, key, 0, value, json_object_get(now, key)))
            return true;
    }
    json_object_foreach((json_t *)now, key, value)
    {
        if (json_object_get(before, key) == NULL && differ_at(difference, length, key, 0, NULL, value))
            return true;
    }
    return false;
}

static bool arrays_differ(struct difference *difference, size_t length, const json_t *before,
                          const json_t *now)
{
    for (size_t i = 0; i < json_array_size(before) || i < json_array_size(now); i++)
        if (differ_at(difference, length, NULL, i, json_array_get(before, i), json_array_get(now, i)))
            return true;
    return false;
}

static bool differ(struct difference *difference, size_t length, const json_t *before, const json_t *now)
{
    if (json_is_object(before) && json_is_object(now))
        return objects_differ(difference, length, before, now);
    if (json_is_array(before) && json_is_array(now))
        return arrays_differ(difference, length, before, now);
    difference->before = before;
    difference->now = now;
    return before == NULL || now == NULL || !json_equal(before, now);
}

static char *value_text(const json_t *value)
{
    return value != NULL && !json_is_null(value) ? json_text(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
}

bool json_difference(const json_t *before, const json_t *now, char *text, size_t size)
{
    struct difference difference = {.path = ""};

    if (!differ(&difference, 0, before, now))
        return false;
    char *before_text = value_text(difference.before), *now_text = value_text(difference.now);
    snprintf(text, size, "%s: %.200s before, %.200s now", difference.path,
             before_text != NULL ? before_text : "nothing", now_text != NULL ? now_text : "nothing");
    free(before_text);
    free(now_text);
    return true;
}
