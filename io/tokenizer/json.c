#include "io/tokenizer/json.h"

#include <string.h>

static const char *type_name(const json_t *value)
{
    if (value == NULL)
        return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        break;
    }
    return "null";
}

enum status json_only_members(const json_t *object, const char *const *known, struct error *err)
{
    RETURN_ERROR_IF(!json_is_object(object), err, STATUS_INPUT, "must be an object, is %s",
                    type_name(object));
    for (void *at = json_object_iter((json_t *)object); at != NULL;
         at = json_object_iter_next((json_t *)object, at)) {
        const char *key = json_object_iter_key(at);
        const char *const *name = known;
        while (*name != NULL && strcmp(*name, key) != 0)
            name++;
        RETURN_ERROR_IF(*name == NULL, err, STATUS_INPUT, "unknown member \"%s\"", key);
    }
    return STATUS_OK;
}

enum status json_text_member(const json_t *object, const char *key, struct slice *text, struct error *err)
{
    const json_t *value = json_object_get(object, key);
    RETURN_ERROR_IF(!json_is_string(value), err, STATUS_INPUT, "\"%s\" must be a string, is %s", key,
                    type_name(value));
    *text = (struct slice){json_string_value(value), json_string_length(value)};
    return STATUS_OK;
}

enum status json_bool_member(const json_t *object, const char *key, bool *value, struct error *err)
{
    const json_t *member = json_object_get(object, key);
    RETURN_ERROR_IF(!json_is_boolean(member), err, STATUS_INPUT, "\"%s\" must be true or false, is %s", key,
                    type_name(member));
    *value = json_is_true(member);
    return STATUS_OK;
}

enum status json_array_member(const json_t *object, const char *key, json_t **array, struct error *err)
{
    *array = json_object_get(object, key);
    RETURN_ERROR_IF(!json_is_array(*array), err, STATUS_INPUT, "\"%s\" must be an array, is %s", key,
                    type_name(*array));
    return STATUS_OK;
}

static bool missing(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value == NULL || json_is_null(value);
}

enum status json_optional_text(const json_t *object, const char *key, struct slice *text, struct error *err)
{
    return missing(object, key) ? STATUS_OK : json_text_member(object, key, text, err);
}

enum status json_optional_bool(const json_t *object, const char *key, bool *value, struct error *err)
{
    return missing(object, key) ? STATUS_OK : json_bool_member(object, key, value, err);
}

enum status json_id(const json_t *value, const char *what, int32_t *id, struct error *err)
{
    RETURN_ERROR_IF(!json_is_integer(value), err, STATUS_INPUT, "the id of %s must be an integer, is %s",
                    what, type_name(value));
    const json_int_t number = json_integer_value(value);
    RETURN_ERROR_IF(number < 0 || number >= INT32_MAX, err, STATUS_INPUT,
                    "the id of %s must be from 0 to %d, is %lld", what, INT32_MAX - 1, (long long)number);
    *id = (int32_t)number;
    return STATUS_OK;
}

enum status json_type_member(const json_t *object, const char **type, struct error *err)
{
    struct slice text = {0};
    RETURN_ERROR_IF(!json_is_object(object), err, STATUS_INPUT, "must be an object, is %s",
                    type_name(object));
    FORWARD_IF_ERROR(json_text_member(object, "type", &text, err));
    *type = text.bytes;
    return STATUS_OK;
}

bool slice_is(struct slice text, const char *string)
{
    return text.size == strlen(string) && memcmp(text.bytes, string, text.size) == 0;
}
