#include "io/model/config_reader.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static void write_down(const struct config_reader *reader, const char *key, json_t *what)
{
    if (json_object_set_new(reader->seen, key, what) != 0)
        *reader->lost = true;
}

void config_pass(const struct config_reader *reader, const char *key)
{
    if (reader->seen != NULL && json_object_get(reader->seen, key) == NULL)
        write_down(reader, key, json_true());
}

const json_t *config_value(const struct config_reader *reader, const char *key)
{
    const struct key_alias *alias = reader->aliases;

    config_pass(reader, key);
    for (; alias != NULL && alias->name != NULL; alias++) {
        if (strcmp(alias->key, key) != 0 || json_object_get(reader->object, alias->name) == NULL)
            continue;
        config_pass(reader, alias->name);
        return json_object_get(reader->object, alias->name);
    }
    return json_object_get(reader->object, key);
}

const json_t *config_find(const struct config_reader *reader, const char *key)
{
    const json_t *value = config_value(reader, key);
    return json_is_null(value) ? NULL : value;
}

bool config_has(const struct config_reader *reader, const char *key)
{
    return config_value(reader, key) != NULL;
}

static enum status refuse(const struct config_reader *reader, const char *key, const char *what,
                          struct error *err)
{
    return error_set(err, STATUS_INPUT, "%s: %s%s: %s", reader->path, reader->prefix, key, what);
}

enum status config_not_null(const struct config_reader *reader, const char *key, struct error *err)
{
    if (json_is_null(config_value(reader, key)))
        return refuse(reader, key, "must not be null", err);
    return STATUS_OK;
}

struct config_reader config_nullable(const struct config_reader *reader)
{
    struct config_reader nullable = *reader;

    nullable.allow_null = true;
    return nullable;
}

// *value is NULL when there is nothing to read.
static enum status find_value(const json_t **value, const struct config_reader *reader, const char *key,
                              struct error *err)
{
    *value = config_find(reader, key);
    return reader->allow_null ? STATUS_OK : config_not_null(reader, key, err);
}

enum status config_size(const struct config_reader *reader, const char *key, size_t *value, struct error *err)
{
    if (config_find(reader, key) == NULL)
        return refuse(reader, key, "is missing", err);
    return config_optional_size(reader, key, value, err);
}

enum status config_optional_size(const struct config_reader *reader, const char *key, size_t *value,
                                 struct error *err)
{
    const json_t *json;

    FORWARD_IF_ERROR(find_value(&json, reader, key, err));
    if (json == NULL)
        return STATUS_OK;
    if (!json_is_integer(json) || json_integer_value(json) < 1 || json_integer_value(json) > INT32_MAX)
        return refuse(reader, key, "must be an integer from 1 to 2147483647", err);
    *value = (size_t)json_integer_value(json);
    return STATUS_OK;
}

enum status config_bool(const struct config_reader *reader, const char *key, bool *value, struct error *err)
{
    const json_t *json;

    FORWARD_IF_ERROR(find_value(&json, reader, key, err));
    if (json == NULL)
        return STATUS_OK;
    if (!json_is_boolean(json))
        return refuse(reader, key, "must be true or false", err);
    *value = json_is_true(json);
    return STATUS_OK;
}

enum status config_number(const struct config_reader *reader, const char *key, double min, double max,
                          double *value, struct error *err)
{
    const json_t *json;

    FORWARD_IF_ERROR(find_value(&json, reader, key, err));
    if (json == NULL)
        return STATUS_OK;
    const double number = json_number_value(json);
    if (!json_is_number(json) || !isfinite(number) || number < min || number > max)
        return error_set(err, STATUS_INPUT, "%s: %s%s: must be a number from %g to %g", reader->path,
                         reader->prefix, key, min, max);
    *value = number;
    return STATUS_OK;
}

enum status config_real(const struct config_reader *reader, const char *key, double min, double max,
                        double *value, struct error *err)
{
    // An alias has no class that says what it is.
    if (json_is_integer(json_object_get(reader->object, key)))
        return refuse(
            reader, key,
            "must be written with a point, as 1.0: transformers opens no model with an integer there", err);
    return config_number(reader, key, min, max, value, err);
}

enum status config_string(const struct config_reader *reader, const char *key, const char **value,
                          struct error *err)
{
    const json_t *json;

    FORWARD_IF_ERROR(find_value(&json, reader, key, err));
    if (json == NULL)
        return STATUS_OK;
    if (!json_is_string(json))
        return refuse(reader, key, "must be a string", err);
    *value = json_string_value(json);
    return STATUS_OK;
}

enum status config_object(const struct config_reader *reader, const char *key, const char *prefix,
                          struct config_reader *object, struct error *err)
{
    const json_t *json = config_find(reader, key);

    *object =
        (struct config_reader){.object = json, .path = reader->path, .prefix = prefix, .lost = reader->lost};
    if (reader->seen != NULL && !json_is_object(json_object_get(reader->seen, key)))
        write_down(reader, key, json_object());
    object->seen = json_object_get(reader->seen, key);
    if (json != NULL && !json_is_object(json))
        return refuse(reader, key, "must be an object", err);
    return STATUS_OK;
}
