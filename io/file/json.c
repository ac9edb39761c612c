#include "io/file/json.h"
#include "io/file/commit.h"
#include "io/file/limits.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *printable(char *out, size_t size, const char *text)
{
    size_t i = 0;
    for (; size > 0 && i + 1 < size && text[i] != '\0'; i++)
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    if (size > 0)
        out[i] = '\0';
    return out;
}

json_t *json_load_bytes(const char *text, size_t size, size_t flags, json_error_t *reason, bool *no_memory)
{
    errno = 0;
    json_t *json = json_loadb(text, size, flags, reason);
    *no_memory = json == NULL && (json_error_code(reason) == json_error_out_of_memory || errno == ENOMEM);
    return json;
}

// What is JSON but for one thing that other readers let pass, or NULL. Python takes the last of two members
// of one name, numbers of any size, NaN and Infinity, and any character in a text.
static const char *peculiarity(const json_error_t *reason)
{
    static const char half_pair[] = "invalid Unicode '"; // of an escape that is none: "... escape '"

    switch (json_error_code(reason)) {
    case json_error_duplicate_key:
        return "a key stands twice in one object";
    case json_error_numeric_overflow:
        return "a number is too large for an integer of 64 bits, or for double";
    case json_error_invalid_syntax:
        return strstr(reason->text, "'NaN'") != NULL || strstr(reason->text, "'Infinity'") != NULL ||
                       strstr(reason->text, "'-'") != NULL // of -Infinity
                   ? "NaN and Infinity are no numbers in JSON"
                   : strncmp(reason->text, half_pair, sizeof half_pair - 1) == 0
                         ? "a text with one half of a surrogate pair (\\ud800 to \\udfff)"
                         : NULL;
    case json_error_null_character:
        return "a text with a NUL character";
    case json_error_null_byte_in_key:
        return "a key with a NUL character";
    default:
        return NULL;
    }
}

const char *json_reason(char out[JSON_REASON_SIZE], const json_error_t *reason)
{
    char line[JSON_ERROR_TEXT_LENGTH];
    const char *what_is_odd = peculiarity(reason), *near = strstr(reason->text, "near ");

    if (what_is_odd == NULL)
        snprintf(out, JSON_REASON_SIZE, "not valid JSON: %s", printable(line, sizeof line, reason->text));
    else if (near == NULL) // what is longer is not quoted
        snprintf(out, JSON_REASON_SIZE, "%s", what_is_odd);
    else
        snprintf(out, JSON_REASON_SIZE, "%s, %s", what_is_odd, printable(line, sizeof line, near));
    return out;
}

enum status json_parse(json_t **json, const char *text, size_t size, const char *what, struct error *err)
{
    json_error_t reason;
    bool no_memory;

    *json = json_load_bytes(text, size, JSON_REJECT_DUPLICATES, &reason, &no_memory);
    RETURN_ERROR_IF(no_memory, err, STATUS_MEMORY, "out of memory for the JSON of %s, %zu bytes", what, size);
    if (*json == NULL) {
        char shown[JSON_REASON_SIZE];
        return error_set(err, STATUS_INPUT, "%s: %s (line %d, column %d)", what, json_reason(shown, &reason),
                         reason.line, reason.column);
    }
    return STATUS_OK;
}

enum status json_read(json_t **json, const char *path, struct error *err)
{
    char *text;
    size_t size;

    *json = NULL;
    FORWARD_IF_ERROR(read_file_up_to(&text, &size, LIMIT_JSON_BYTES, path, err));
    const enum status status = json_parse(json, text, size, path, err);
    free(text);
    return status;
}

// ---- as text ---------------------------------------------------------------------------------------------

// Removes the sign + and the zeros that printf puts into an exponent, as Jansson does.
static void tidy_exponent(char *text)
{
    char *from = strchr(text, 'e'), *to;

    if (from == NULL)
        return;
    to = ++from;
    if (*from == '-')
        to++;
    from += *from == '-' || *from == '+';
    while (*from == '0' && from[1] != '\0')
        from++;
    memmove(to, from, strlen(from) + 1);
}

// text[length]: a real as Jansson writes it, with up to 17 digits. Returns its length after it was made as
// short as can be; it stays a real. From 1e15 on the digits before the point are all there is.
static size_t shorten(char *text, size_t length)
{
    char copy[48], shorter[48];

    if (length >= sizeof copy)
        return length;
    snprintf(copy, sizeof copy, "%.*s", (int)length, text);
    const double value = strtod(copy, NULL);
    if (fabs(value) >= 1e15 && fabs(value) < 1e17)
        return length;
    for (int digits = 15; digits < 17; digits++) {
        snprintf(shorter, sizeof shorter, "%.*g", digits, value);
        if (strtod(shorter, NULL) != value)
            continue;
        tidy_exponent(shorter);
        if (strpbrk(shorter, ".e") == NULL)
            strcat(shorter, ".0");
        if (strlen(shorter) > length)
            return length;
        memcpy(text, shorter, strlen(shorter));
        return strlen(shorter);
    }
    return length;
}

char *json_text(const json_t *json, size_t flags)
{
    char *text = json_dumps(json, flags), *to = text;
    bool quoted = false;

    for (const char *from = text; from != NULL && *from != '\0';) {
        size_t length = quoted ? 0 : strspn(from, "+-.0123456789eE");
        const bool is_number = length > 0 && *from != 'e'; // nor the end of true and false
        if (length == 0)
            length = quoted && *from == '\\' ? 2 : 1;
        if (*from == '"')
            quoted = !quoted;
        const bool is_real = is_number && strcspn(from, ".e") < length;
        memmove(to, from, length);
        from += length;
        to += is_real ? shorten(to, length) : length;
    }
    if (text != NULL)
        *to = '\0';
    return text;
}

void json_print(const json_t *json, FILE *out)
{
    char *text = json_text(json, JSON_INDENT(2));

    if (text != NULL)
        fprintf(out, "%s\n", text);
    free(text);
}
