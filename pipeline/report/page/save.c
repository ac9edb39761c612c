#include "pipeline/report/page/save.h"

#include "io/file/commit.h"
#include "pipeline/report/page/page.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool is_ours(const char *path)
{
    char *bytes = NULL;
    size_t size = 0;
    bool ours = false;

    if (read_file(&bytes, &size, path, NULL) == STATUS_OK)
        ours = memmem(bytes, size, PAGE_MARK, strlen(PAGE_MARK)) != NULL;
    free(bytes);
    return ours;
}

enum status page_save(const char *path, const char *bytes, size_t size, struct error *err)
{
    struct stat info;

    RETURN_ERROR_IF(lstat(path, &info) == 0 && !is_ours(path), err, STATUS_USAGE,
                    "%s is there, and is no page that coppice made: it is left alone; choose another name",
                    path);
    return commit_bytes(path, bytes, size, err);
}
