#include "pipeline/run/admit/places.h"

#include "io/file/run_paths.h"

#include <errno.h>
#include <libgen.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum status place_check(const char *folder, const char *key, const char *job, struct error *err)
{
    char path[PATH_SIZE];
    struct stat info;

    path_format(path, sizeof path, "%s", folder);
    while (stat(path, &info) != 0 && errno == ENOENT && strcmp(path, "/") != 0 && strcmp(path, ".") != 0) {
        // A link that leads nowhere cannot become a folder.
        if (lstat(path, &info) == 0)
            return error_set(err, STATUS_USAGE, "%s: %s: %s: %s", job, key, path, strerror(ENOENT));
        const char *up = dirname(path);
        memmove(path, up, strlen(up) + 1);
    }
    const bool seen = stat(path, &info) == 0;
    RETURN_ERROR_IF((!seen && errno == ENOTDIR) || (seen && !S_ISDIR(info.st_mode)), err, STATUS_USAGE,
                    "%s: %s: %s: %s", job, key, path, strerror(ENOTDIR));
    RETURN_ERROR_IF(!seen || access(path, W_OK | X_OK) != 0, err, STATUS_FAILED, "%s: %s: %s: %s", job, key,
                    path, strerror(errno));
    return STATUS_OK;
}
