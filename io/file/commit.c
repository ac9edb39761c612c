#include "io/file/commit.h"

#include "io/file/fence.h"
#include "io/file/limits.h"
#include "io/file/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char temporary_mark[] = ".tmp-";

// One system call moves at most this much: Linux stops at 2 GiB - 4 KiB, others earlier.
enum { LARGEST_TRANSFER = 1 << 30 };

static enum status failed(struct error *err, const char *action, const char *path)
{
    return error_set(err, STATUS_FAILED, "%s: %s failed: %s", path, action, strerror(errno));
}

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

enum status temporary_path(char *out, size_t size, const char *final_path, struct error *err)
{
    const size_t folder = folder_length(final_path);
    const char *name = final_path + folder;
    char maker[HOST_NAME_MAX + 1] = ""; // whose process id it is
    char file_name[NAME_MAX + 1], token[17];

    RETURN_ERROR_IF(name[0] == '\0', err, STATUS_FAILED, "%s: a file name is missing", final_path);
    fence_token(token);
    if (token[0] != '\0')
        snprintf(maker, sizeof maker, "%s", token);
    else if (gethostname(maker, sizeof maker) != 0 || maker[0] == '\0')
        snprintf(maker, sizeof maker, "unknown");
    maker[sizeof maker - 1] = '\0';
    for (char *c = strchr(maker, '/'); c != NULL; c = strchr(c, '/'))
        *c = '_';
    const int used =
        snprintf(file_name, sizeof file_name, ".%s%s%s-%ld", name, temporary_mark, maker, (long)getpid());
    RETURN_ERROR_IF(used < 0 || (size_t)used >= sizeof file_name || folder + (size_t)used >= size, err,
                    STATUS_FAILED, "%s: the name is too long for a temporary file next to it", final_path);
    memcpy(out, final_path, folder);
    memcpy(out + folder, file_name, (size_t)used + 1);
    return STATUS_OK;
}

int commit_is_temporary(const char *file_name)
{
    if (file_name[0] != '.' || file_name[1] == '\0')
        return false;
    // The last mark counts: NAME itself may contain one.
    const char *host = NULL;
    for (const char *mark = strstr(file_name + 2, temporary_mark); mark != NULL;
         mark = strstr(mark + 1, temporary_mark))
        host = mark + sizeof temporary_mark - 1;
    const char *dash = host != NULL ? strrchr(host, '-') : NULL;
    if (dash == NULL || dash == host || dash[1] == '\0')
        return false;
    return dash[1 + strspn(dash + 1, "0123456789")] == '\0';
}

// ---- one file -----------------------------------------------------------------------------------

static void forget(struct commit_file *file)
{
    free(file->path);
    free(file->temporary);
    *file = (struct commit_file){.fd = -1};
}

void commit_abandon(struct commit_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    if (file->temporary != NULL)
        unlink(file->temporary);
    forget(file);
}

static enum status abandon_failed(struct commit_file *file, struct error *err, const char *action)
{
    const enum status status = failed(err, action, file->path); // before the clean-up overwrites errno
    commit_abandon(file);
    return status;
}

enum status commit_begin(struct commit_file *file, const char *path, struct error *err)
{
    char temporary[PATH_MAX];

    *file = (struct commit_file){.fd = -1};
    FORWARD_IF_ERROR(temporary_path(temporary, sizeof temporary, path, err));
    file->path = strdup(path);
    file->temporary = strdup(temporary);
    if (file->path == NULL || file->temporary == NULL) {
        forget(file);
        return error_set(err, STATUS_MEMORY, "%s: out of memory for its name", path);
    }
    do {
        file->fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    } while (file->fd < 0 && errno == EINTR);
    if (file->fd < 0) {
        const enum status status = failed(err, "creating it", path);
        forget(file);
        return status;
    }
    return STATUS_OK;
}

enum status commit_write_at(struct commit_file *file, const void *bytes, size_t size, uint64_t offset,
                            struct error *err)
{
    const char *next = bytes;

    RETURN_ERROR_IF(file->fd < 0, err, STATUS_FAILED, "write to a file that is not open");
    if (offset > INT64_MAX || size > INT64_MAX - offset) {
        errno = EFBIG;
        return abandon_failed(file, err, "writing");
    }
    while (size > 0) {
        const size_t piece = size < LARGEST_TRANSFER ? size : LARGEST_TRANSFER;
        const ssize_t written = pwrite(file->fd, next, piece, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written == 0)
            errno = EIO; // neither progress nor an error: do not try for ever
        if (written <= 0)
            return abandon_failed(file, err, "writing");
        next += written;
        offset += (uint64_t)written;
        size -= (size_t)written;
    }
    return STATUS_OK;
}

static int sync_descriptor(int fd)
{
    int result;
    do {
        result = fsync(fd);
    } while (result != 0 && errno == EINTR);
    return result;
}

enum status commit_end(struct commit_file *file, struct error *err)
{
    RETURN_ERROR_IF(file->fd < 0, err, STATUS_FAILED, "commit of a file that is not open");
    if (sync_descriptor(file->fd) != 0)
        return abandon_failed(file, err, "fsync");
    const int closed = close(file->fd);
    file->fd = -1;
    // After EINTR the descriptor is gone and the data are already on disk.
    if (closed != 0 && errno != EINTR)
        return abandon_failed(file, err, "closing");
    const enum status renamed = fence_rename(file->temporary, file->path, err);
    if (renamed != STATUS_OK) {
        commit_abandon(file);
        return renamed;
    }
    free(file->temporary); // that name is the file now: nothing to unlink
    file->temporary = NULL;

    const size_t folder = folder_length(file->path);
    file->path[folder] = '\0';
    const enum status status = sync_directory(folder != 0 ? file->path : ".", err);
    forget(file);
    return status;
}

enum status commit_bytes(const char *path, const void *bytes, size_t size, struct error *err)
{
    struct commit_file file;

    FORWARD_IF_ERROR(commit_begin(&file, path, err));
    FORWARD_IF_ERROR(commit_write_at(&file, bytes, size, 0, err));
    return commit_end(&file, err);
}

// ---- folders ------------------------------------------------------------------------------------

enum status sync_directory(const char *path, struct error *err)
{
    int fd;
    do {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return failed(err, "opening the folder", path);
    if (sync_descriptor(fd) != 0 && errno != EINVAL && errno != ENOTSUP) {
        const enum status status = failed(err, "fsync of the folder", path);
        close(fd);
        return status;
    }
    close(fd);
    return STATUS_OK;
}

static bool is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

enum status make_directories(const char *path, struct error *err)
{
    char prefix[PATH_MAX];
    const size_t length = strlen(path);

    RETURN_ERROR_IF(length == 0, err, STATUS_FAILED, "the name of a folder is empty");
    RETURN_ERROR_IF(length >= sizeof prefix, err, STATUS_FAILED, "%.200s...: the name is too long", path);
    if (is_directory(path))
        return STATUS_OK;
    memcpy(prefix, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        prefix[i] = '\0';
        if (mkdir(prefix, 0777) == 0) {
            // The new name is durable when its parent is.
            char parent[PATH_MAX];
            memcpy(parent, prefix, i + 1);
            parent[folder_length(prefix)] = '\0';
            FORWARD_IF_ERROR(sync_directory(parent[0] != '\0' ? parent : ".", err));
        } else {
            // Read-only and auto-mounted parents refuse with other errors than EEXIST although they are
            // there.
            const int reason = errno;
            errno = 0;
            if (!is_directory(prefix)) {
                // What is there and cannot be looked at has the look's reason.
                if (reason != EEXIST || errno == 0)
                    errno = reason;
                return failed(err, "making the folder", prefix);
            }
        }
        prefix[i] = path[i];
    }
    return STATUS_OK;
}

// ---- reading ------------------------------------------------------------------------------------

static enum status read_descriptor(char **bytes, size_t *size, int fd, size_t most, const char *path,
                                   struct error *err)
{
    struct stat info;

    *bytes = NULL;
    RETURN_ERROR_IF(fstat(fd, &info) != 0, err, STATUS_INPUT, "%s: %s", path, strerror(errno));
    RETURN_ERROR_IF(info.st_size < 0 || (uint64_t)info.st_size > most, err, STATUS_INPUT,
                    "%s: has %lld bytes, and at most %zu are read of such a file", path,
                    (long long)info.st_size, most);
    const size_t expected = (size_t)info.st_size;
    FORWARD_IF_ERROR(allocate(bytes, expected + 1, 1, path, err));

    size_t used = 0;
    while (used < expected) {
        const size_t left = expected - used;
        const ssize_t got = read(fd, *bytes + used, left < LARGEST_TRANSFER ? left : LARGEST_TRANSFER);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            const enum status status = failed(err, "reading", path);
            free(*bytes);
            *bytes = NULL;
            return status;
        }
        if (got == 0)
            break; // it became shorter meanwhile
        used += (size_t)got;
    }
    (*bytes)[used] = '\0';
    if (size != NULL)
        *size = used;
    return STATUS_OK;
}

enum status read_file(char **bytes, size_t *size, const char *path, struct error *err)
{
    return read_file_up_to(bytes, size, LIMIT_FILE_BYTES, path, err);
}

enum status read_file_up_to(char **bytes, size_t *size, size_t most, const char *path, struct error *err)
{
    int fd;

    *bytes = NULL;
    FORWARD_IF_ERROR(regular_open(&fd, path, O_RDONLY, STATUS_INPUT, err));
    const enum status status = read_descriptor(bytes, size, fd, most, path, err);
    close(fd);
    return status;
}

enum status read_run_file(char **bytes, size_t *size, const char *path, struct error *err)
{
    int fd;

    *bytes = NULL;
    FORWARD_IF_ERROR(run_file_open(&fd, path, O_RDONLY, err));
    const enum status status = read_descriptor(bytes, size, fd, LIMIT_FILE_BYTES, path, err);
    close(fd);
    return status;
}
