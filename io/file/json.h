// json.h - JSON files and texts, parsed by Jansson; errors in the project's form.
#pragma once
#include "kernels/error.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

// Parses text[size]; a key that occurs twice in one object is refused. `what` (a file name) opens the
// message, which ends in line and column. *json is freed with json_decref. STATUS_INPUT when it is not JSON.
enum status json_parse(json_t **json, const char *text, size_t size, const char *what, struct error *err);
// The same for a whole file; a file that cannot be read is STATUS_INPUT.
enum status json_read(json_t **json, const char *path, struct error *err);

// json_loadb, for callers that json_parse does not suit. NULL on failure; *no_memory then tells whether
// memory ran out, which Jansson often reports as wrong JSON.
json_t *json_load_bytes(const char *text, size_t size, size_t flags, json_error_t *reason, bool *no_memory);

// Why Jansson took a text for no JSON, for a message: "not valid JSON: ...", or the name of what other
// readers let pass and Jansson does not. Returns out.
enum { JSON_REASON_SIZE = JSON_ERROR_TEXT_LENGTH + 96 };
const char *json_reason(char out[JSON_REASON_SIZE], const json_error_t *reason);

// json_dumps, but with the shortest decimals that read back as the same numbers: 0.3, where Jansson has
// 0.29999999999999999. Caller frees; NULL when memory ran out.
char *json_text(const json_t *json, size_t flags);
// The same for people and programs: indented, with a newline; nothing when memory ran out.
void json_print(const json_t *json, FILE *out);

// Copies text (any bytes) into out[size] for use in a one-line message: control characters and bytes that are
// not ASCII become '?', what does not fit is cut. Returns out.
const char *printable(char *out, size_t size, const char *text);
