#include "io/file/run/run_directory.h"

#include "io/file/commit.h"
#include "io/file/run_paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// Folders below this depth are not ours: a run directory has three levels.
enum { DEEPEST_FOLDER = 16 };

// fd is closed in any case. path is for messages.
static enum status clean_folder(int fd, const char *path, size_t depth, size_t *removed, struct error *err)
{
    enum status status = STATUS_OK;
    DIR *folder = fdopendir(fd);

    if (folder == NULL) {
        status = error_set(err, STATUS_FAILED, "%s: listing the folder failed: %s", path, strerror(errno));
        close(fd);
        return status;
    }
    while (status == STATUS_OK) {
        errno = 0;
        const struct dirent *entry = readdir(folder);
        if (entry == NULL) {
            if (errno != 0)
                status =
                    error_set(err, STATUS_FAILED, "%s: listing the folder failed: %s", path, strerror(errno));
            break;
        }
        struct stat info;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            fstatat(dirfd(folder), name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue; // gone meanwhile
        if (S_ISDIR(info.st_mode) && depth < DEEPEST_FOLDER) {
            char path_below[PATH_SIZE];
            path_format(path_below, sizeof path_below, "%s/%s", path, name);
            const int below = openat(dirfd(folder), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            status = below < 0 ? error_set(err, STATUS_FAILED, "%s/%s: opening the folder failed: %s", path,
                                           name, strerror(errno))
                               : clean_folder(below, path_below, depth + 1, removed, err);
        } else if (S_ISREG(info.st_mode) && commit_is_temporary(name)) {
            if (unlinkat(dirfd(folder), name, 0) == 0)
                ++*removed;
            else if (errno != ENOENT)
                status = error_set(err, STATUS_FAILED, "%s/%s: removing it failed: %s", path, name,
                                   strerror(errno));
        }
    }
    closedir(folder);
    return status;
}

enum status run_clean_temporaries(const char *run, size_t *removed, struct error *err)
{
    *removed = 0;
    const int fd = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    RETURN_ERROR_IF(fd < 0, err, STATUS_FAILED, "%s: opening the folder failed: %s", run, strerror(errno));
    return clean_folder(fd, run, 0, removed, err);
}
