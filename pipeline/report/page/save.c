#include "pipeline/report/page/save.h"

#include "io/file/commit.h"
#include "pipeline/report/page/page.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// Nothing that coppice writes for people is nearly as large.
static const int64_t largest = (int64_t)256 << 20;

static bool has_mark(const char *path, const char *mark)
{
    struct stat info;
    char *bytes = NULL;
    size_t size = 0;
    bool found = false;

    if (stat(path, &info) == 0 && info.st_size <= largest &&
        read_file(&bytes, &size, path, NULL) == STATUS_OK)
        found = memmem(bytes, size, mark, strlen(mark)) != NULL;
    free(bytes);
    return found;
}

enum status replaceable_check(const char *path, const char *mark, struct error *err)
{
    struct stat info;

    RETURN_ERROR_IF(lstat(path, &info) == 0 && !has_mark(path, mark), err, STATUS_USAGE,
                    "%s is there, and coppice did not make it: it is left alone; choose another name, or "
                    "move it away",
                    path);
    return STATUS_OK;
}

enum status page_save(const char *path, const char *bytes, size_t size, struct error *err)
{
    FORWARD_IF_ERROR(replaceable_check(path, PAGE_MARK, err));
    return commit_bytes(path, bytes, size, err);
}
