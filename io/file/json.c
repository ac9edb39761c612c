#include "io/file/json.h"
#include "io/file/commit.h"
#include "io/file/limits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

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

enum status json_parse(json_t **json, const char *text, size_t size, const char *what, struct error *err)
{
    json_error_t reason;
    bool no_memory;

    *json = json_load_bytes(text, size, JSON_REJECT_DUPLICATES, &reason, &no_memory);
    RETURN_ERROR_IF(no_memory, err, STATUS_MEMORY, "out of memory for the JSON of %s, %zu bytes", what, size);
    if (*json == NULL) {
        char line[JSON_ERROR_TEXT_LENGTH];
        return error_set(err, STATUS_INPUT, "%s: not valid JSON: %s (line %d, column %d)", what,
                         printable(line, sizeof line, reason.text), reason.line, reason.column);
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
