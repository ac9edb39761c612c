// members.h - members of JSON objects that may not be there.
#pragma once
#include <jansson.h>
#include <stdbool.h>

// Borrowed; "" when the member is no text.
const char *text_of(const json_t *object, const char *key);
// False when the member is no number; *value is 0 then.
bool number_of(double *value, const json_t *object, const char *key);
