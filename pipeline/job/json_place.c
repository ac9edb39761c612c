#include "pipeline/job/json_place.h"

#include <stdio.h>
#include <string.h>

const char *json_path(const struct job_key_row *row)
{
    if (row->json != NULL)
        return row->json;
    return row->home == HOME_VARIANT ? strrchr(row->path, '.') + 1 : row->path;
}

json_t *json_section(json_t *json, const char *path, const char **name, bool make)
{
    const char *dot = strchr(path, '.');
    char section[64];

    *name = dot != NULL ? dot + 1 : path;
    if (dot == NULL)
        return json;
    snprintf(section, sizeof section, "%.*s", (int)(dot - path), path);
    if (make && json_object_get(json, section) == NULL)
        json_object_set_new(json, section, json_object());
    return json_object_get(json, section);
}

const json_t *json_member(const json_t *json, const struct job_key_row *row)
{
    const char *name;
    const json_t *section = json_section((json_t *)json, json_path(row), &name, false);
    return json_object_get(section, name);
}
