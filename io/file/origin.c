#include "io/file/origin.h"

#include "io/file/run_paths.h"

#include <stdbool.h>
#include <string.h>

void origin_name(char name[ORIGIN_NAME_SIZE], struct file_origin origin, const char *path)
{
    name[0] = '\0';
    path = run_path_inside(origin.run, path);
    if (path == NULL || strlen(path) >= ORIGIN_NAME_SIZE)
        return;
    while (*path != '\0') {
        const size_t part = strcspn(path, "/"), kept = run_name_without_attempt(path, part);
        memcpy(name, path, kept);
        name += kept;
        path += part;
        if (*path == '/')
            *name++ = '/', path += strspn(path, "/");
    }
    *name = '\0';
}

// Part by part, from the last one on.
static bool fits(const char *path, const char *name)
{
    const char *path_end = path + strlen(path), *name_end = name + strlen(name);

    for (;;) {
        const char *part = path_end, *name_part = name_end;
        while (part > path && part[-1] != '/')
            part--;
        while (name_part > name && name_part[-1] != '/')
            name_part--;
        const size_t length = run_name_without_attempt(part, (size_t)(path_end - part));
        if (length != (size_t)(name_end - name_part) || strncmp(part, name_part, length) != 0)
            return false;
        if (name_part == name)
            return true;
        name_end = name_part - 1;
        while (part > path && part[-1] == '/')
            part--;
        path_end = part;
    }
}

enum status origin_check(const char *path, const char *name, struct error *err)
{
    RETURN_ERROR_IF(name[0] != '\0' && !fits(path, name), err, STATUS_USAGE,
                    "%s: is the file %s of a run under another name: remove it, or move it back", path, name);
    return STATUS_OK;
}
