#include "pipeline/report/data/flat.h"

#include "io/file/json_memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A list as one text, its items apart by blanks. NULL when memory ran out, which is noted.
static json_t *list_text(const json_t *list)
{
    char *text = NULL;
    size_t size, i;
    json_t *item, *joined = NULL;
    FILE *out = open_memstream(&text, &size);

    json_array_foreach(out != NULL ? list : NULL, i, item)
    {
        fputs(i > 0 ? " " : "", out);
        if (json_is_string(item))
            fputs(json_string_value(item), out);
        else
            json_dumpf(item, out, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(12));
    }
    if (out != NULL && fclose(out) == 0)
        joined = json_string(text);
    if (joined == NULL)
        json_memory_note();
    free(text);
    return joined;
}

void flat_add(json_t *row, const char *path, json_t *value, const char *const *without)
{
    const char *name;
    json_t *member;
    char longer[256];

    json_object_foreach(value, name, member)
    {
        size_t i = 0;
        snprintf(longer, sizeof longer, "%s%s%s", path, path[0] != '\0' ? "." : "", name);
        while (without != NULL && without[i] != NULL && strcmp(without[i], longer) != 0)
            i++;
        if (without == NULL || without[i] == NULL)
            flat_add(row, longer, member, without);
    }
    if (json_is_array(value))
        json_object_set_new(row, path, list_text(value));
    else if (!json_is_object(value))
        json_object_set(row, path, value);
}
