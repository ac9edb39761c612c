#include "io/file/real_path.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Appends the parts of `rest` to out, a real path of what exists.
static enum status append(char out[PATH_SIZE], const char *rest, const char *path, struct error *err)
{
    while (*rest != '\0') {
        const size_t length = strcspn(rest, "/"), used = strcmp(out, "/") == 0 ? 0 : strlen(out);
        if (length == 2 && strncmp(rest, "..", 2) == 0) {
            char *const last = strrchr(out, '/');
            last[last == out] = '\0'; // above "/" is "/"
        } else if (length > 0 && !(length == 1 && rest[0] == '.')) {
            RETURN_ERROR_IF(used + 1 + length >= PATH_SIZE, err, STATUS_USAGE,
                            "%.200s...: the path is too long", path);
            snprintf(out + used, PATH_SIZE - used, "/%.*s", (int)length, rest);
        }
        rest += length + (rest[length] == '/');
    }
    return STATUS_OK;
}

enum status real_path(char out[PATH_SIZE], const char *path, struct error *err)
{
    char prefix[PATH_SIZE];
    const size_t length = strlen(path);
    size_t end = length;

    RETURN_ERROR_IF(length == 0 || length >= sizeof prefix, err, STATUS_USAGE, "%.200s: the path is %s", path,
                    length == 0 ? "empty" : "too long");
    for (;;) { // the longest part that exists
        char *found;
        memcpy(prefix, path, end);
        prefix[end] = '\0';
        found = realpath(end > 0 ? prefix : path[0] == '/' ? "/" : ".", NULL);
        if (found != NULL) {
            const size_t size = strlen(found) + 1;
            if (size <= PATH_SIZE)
                memcpy(out, found, size);
            free(found);
            RETURN_ERROR_IF(size > PATH_SIZE, err, STATUS_USAGE, "%.200s...: the path is too long", path);
            return append(out, path + end, path, err);
        }
        const bool absent = errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
        RETURN_ERROR_IF(!absent || end == 0, err, STATUS_USAGE, "%s: %s", path, strerror(errno));
        while (end > 0 && path[end - 1] == '/')
            end--;
        while (end > 0 && path[end - 1] != '/')
            end--;
    }
}

bool path_is_within(const char *inner, const char *outer)
{
    const size_t length = strcmp(outer, "/") == 0 ? 0 : strlen(outer);
    return strncmp(inner, outer, length) == 0 && (inner[length] == '/' || inner[length] == '\0');
}
