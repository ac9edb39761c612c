// json.h - reads members of a JSON object with their type checked; an error names the member.
#pragma once
#include "io/tokenizer/text.h"
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// Refuses a value that is not an object, and any member that `known` (ended by NULL) does not list.
enum status json_only_members(const json_t *object, const char *const *known, struct error *err);

// The member must be there and have the type. The text belongs to the JSON tree.
enum status json_text_member(const json_t *object, const char *key, struct slice *text, struct error *err);
enum status json_bool_member(const json_t *object, const char *key, bool *value, struct error *err);
enum status json_array_member(const json_t *object, const char *key, json_t **array, struct error *err);

// The same, but missing and null leave *value as it is.
enum status json_optional_text(const json_t *object, const char *key, struct slice *text, struct error *err);
enum status json_optional_bool(const json_t *object, const char *key, bool *value, struct error *err);

// A token id: an integer from 0 to 2^31 - 2. what names it in the error.
enum status json_id(const json_t *value, const char *what, int32_t *id, struct error *err);

// object's "type"; the object must be one and have it.
enum status json_type_member(const json_t *object, const char **type, struct error *err);

// Whether text is the string.
bool slice_is(struct slice text, const char *string);
