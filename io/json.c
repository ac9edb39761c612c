#include "io/json.h"
#include "io/commit.h"

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

enum status json_parse(json_t **json, const char *text, size_t size, const char *what, struct error *err)
{
    json_error_t reason;

    *json = json_loadb(text, size, JSON_REJECT_DUPLICATES, &reason);
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
    FORWARD_IF_ERROR(read_file(&text, &size, path, err));
    const enum status status = json_parse(json, text, size, path, err);
    free(text);
    return status;
}
