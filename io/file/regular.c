#include "io/file/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

// The system's failures say nothing about the file.
static bool is_the_systems(int reason)
{
    return reason == EMFILE || reason == ENFILE || reason == ENOMEM || reason == EIO;
}

enum status regular_open(int *fd, const char *path, int flags, enum status refusal, struct error *err)
{
    struct stat info;

    do {
        *fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666);
    } while (*fd < 0 && errno == EINTR);
    int reason = *fd < 0 || fstat(*fd, &info) != 0 ? errno : 0;
    // ENXIO and EISDIR: a socket, and a folder that was to be written.
    const bool irregular =
        reason == 0 ? !S_ISREG(info.st_mode) : *fd < 0 && (reason == ENXIO || reason == EISDIR);
    if (irregular)
        reason = EINVAL;
    if (reason == 0)
        return STATUS_OK;
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
    if (is_the_systems(reason))
        refusal = STATUS_FAILED;
    error_set(err, refusal, "%s: %s", path,
              irregular                                      ? "not a regular file"
              : reason == ELOOP && (flags & O_NOFOLLOW) != 0 ? "a symbolic link, which is not followed here"
                                                             : strerror(reason));
    errno = reason;
    return refusal;
}

enum status run_file_open(int *fd, const char *path, int flags, struct error *err)
{
    return regular_open(fd, path, flags | O_NOFOLLOW, STATUS_FAILED, err);
}

size_t regular_read_beginning(void *bytes, size_t size, const char *path)
{
    size_t used = 0;
    int fd;

    if (regular_open(&fd, path, O_RDONLY, STATUS_INPUT, NULL) != STATUS_OK)
        return 0;
    while (used < size) {
        const ssize_t got = read(fd, (char *)bytes + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    close(fd);
    return used;
}
