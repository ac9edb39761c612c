// power.c - a shared object for LD_PRELOAD that keeps account of what a disk need not have yet: bytes that
// were written and not fsynced, names in a folder that was not fsynced since. When all programs were killed,
// tools/power_cut takes a part of it back, as a machine that loses its power does.
//
//   POWER_ROOT=FOLDER     files below it count
//   POWER_JOURNAL=FOLDER  where the account is kept (power.h), on the same file system
//
// Bytes are noted before they are written and names after they were given: whatever is noted can be taken
// back, and what a kill leaves out of the account is taken for kept. What is written through memory maps, by
// stdio or by aio is not seen; coppice does not write its files in these ways.
#include "tests/preload/power.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static struct {
    const char *root, *folder;
    size_t root_length, folder_length;
    int journal; // -1: nothing is kept account of
} power = {.journal = -1};

__attribute__((constructor)) static void begin(void)
{
    char path[PATH_MAX];
    const char *root = getenv("POWER_ROOT"), *folder = getenv("POWER_JOURNAL");

    if (root == NULL || root[0] == '\0' || folder == NULL || folder[0] == '\0')
        return;
    power.root = root;
    power.root_length = strlen(root);
    power.folder = folder;
    power.folder_length = strlen(folder);
    snprintf(path, sizeof path, "%s/journal", folder);
    power.journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
}

// ---- what counts ----------------------------------------------------------------------------------------

static bool is_below(const char *path, const char *folder, size_t length)
{
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

static bool is_counted(const char *path)
{
    return power.journal >= 0 && is_below(path, power.root, power.root_length) &&
           !is_below(path, power.folder, power.folder_length);
}

static bool path_of(char path[PATH_MAX], int fd)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return false;
    path[length] = '\0';
    return true;
}

// A regular file below the root that is open; not what the program prints to.
static bool is_counted_file(int fd, struct stat *info)
{
    char path[PATH_MAX];
    return power.journal >= 0 && fd > STDERR_FILENO && fstat(fd, info) == 0 && S_ISREG(info->st_mode) &&
           path_of(path, fd) && is_counted(path);
}

// A name and the folder that it is in.
struct place {
    char name[NAME_MAX + 1];
    uint64_t folder; // its inode
};

// False: it does not count. errno stays as it is.
static bool find_place(struct place *place, int at, const char *path)
{
    char whole[PATH_MAX];
    struct stat info;
    const int kept = errno;
    bool found = false;

    if (power.journal < 0)
        return false;
    if (path[0] == '/' || at == AT_FDCWD)
        snprintf(whole, sizeof whole, "%s", path);
    else if (path_of(whole, at) && strlen(whole) + strlen(path) + 2 <= sizeof whole)
        sprintf(whole + strlen(whole), "/%s", path);
    else
        return false;
    for (size_t length = strlen(whole); length > 1 && whole[length - 1] == '/'; length--)
        whole[length - 1] = '\0';
    char *slash = strrchr(whole, '/');
    if (slash != NULL && is_counted(whole)) {
        snprintf(place->name, sizeof place->name, "%s", slash + 1);
        *slash = '\0';
        found = stat(whole, &info) == 0;
        place->folder = info.st_ino;
    }
    errno = kept;
    return found;
}

// The inode of a file that is to lose a name, which stays in the account's folder; 0: there is none.
static uint64_t keep(int at, const char *path)
{
    char kept_path[PATH_MAX];
    struct stat info;
    const int kept = errno;
    uint64_t inode = 0;

    if (syscall(SYS_newfstatat, at, path, &info, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(info.st_mode)) {
        inode = info.st_ino;
        snprintf(kept_path, sizeof kept_path, "%s/%llu", power.folder, (unsigned long long)inode);
        (void)syscall(SYS_linkat, at, path, AT_FDCWD, kept_path, 0);
    }
    errno = kept;
    return inode;
}

// ---- the account ----------------------------------------------------------------------------------------

static void note(struct power_record *record, const void *payload, size_t size)
{
    const int kept = errno;
    record->mark = POWER_MARK;
    record->payload = (uint32_t)size;
    const struct iovec parts[] = {{record, sizeof *record}, {(void *)(uintptr_t)payload, size}};
    if (syscall(SYS_writev, power.journal, parts, 2) != (long)(sizeof *record + size))
        abort(); // an account that is not kept proves nothing
    errno = kept;
}

static void note_name(enum power_kind kind, const struct place *place, const char *old, uint64_t file)
{
    char names[2 * (NAME_MAX + 1)];
    struct power_record record = {.kind = kind, .inode = place->folder, .other = file};
    size_t size = strlen(place->name) + 1;

    memcpy(names, place->name, size);
    if (old != NULL) {
        memcpy(names + size, old, strlen(old) + 1);
        size += strlen(old) + 1;
    }
    note(&record, names, size);
}

// `length` bytes at `offset` are to be overwritten, or cut off.
static void note_bytes(int fd, off_t offset, size_t length)
{
    struct stat info;
    const int kept = errno;

    if (is_counted_file(fd, &info)) {
        struct power_record record = {.kind = POWER_DATA,
                                      .inode = info.st_ino,
                                      .size = (uint64_t)info.st_size,
                                      .offset = (uint64_t)offset,
                                      .length = length};
        const size_t old = offset >= info.st_size                     ? 0
                           : length < (size_t)(info.st_size - offset) ? length
                                                                      : (size_t)(info.st_size - offset);
        char link[64], *bytes = malloc(old + 1);
        // The program's own descriptor may be for writing only.
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const int reader = (int)syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC);
        if (bytes == NULL || reader < 0 || pread(reader, bytes, old, offset) != (ssize_t)old)
            abort();
        syscall(SYS_close, reader);
        note(&record, bytes, old);
        free(bytes);
    }
    errno = kept;
}

static off_t position_of(int fd)
{
    struct stat info;
    const int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_APPEND) != 0)
        return fstat(fd, &info) == 0 ? info.st_size : 0;
    const off_t at = lseek(fd, 0, SEEK_CUR);
    return at < 0 ? 0 : at;
}

// ---- the calls ------------------------------------------------------------------------------------------

// A function pointer out of dlsym's pointer, as ISO C has no cast for it.
#define NEXT(pointer, name)                               \
    do {                                                  \
        if ((pointer) == NULL) {                          \
            void *symbol_ = dlsym(RTLD_NEXT, name);       \
            memcpy(&(pointer), &symbol_, sizeof symbol_); \
        }                                                 \
    } while (0)

static size_t total(const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    return size;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    static ssize_t (*next)(int, const void *, size_t);
    struct stat info;
    const int kept = errno;
    NEXT(next, "write");
    if (is_counted_file(fd, &info))
        note_bytes(fd, position_of(fd), size);
    errno = kept;
    return next(fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    static ssize_t (*next)(int, const struct iovec *, int);
    struct stat info;
    const int kept = errno;
    NEXT(next, "writev");
    if (is_counted_file(fd, &info))
        note_bytes(fd, position_of(fd), total(parts, count));
    errno = kept;
    return next(fd, parts, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    static ssize_t (*next)(int, const void *, size_t, off_t);
    NEXT(next, "pwrite");
    note_bytes(fd, at, size);
    return next(fd, bytes, size, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    static ssize_t (*next)(int, const struct iovec *, int, off_t);
    NEXT(next, "pwritev");
    note_bytes(fd, at, total(parts, count));
    return next(fd, parts, count, at);
}

int ftruncate(int fd, off_t size)
{
    static int (*next)(int, off_t);
    struct stat info;
    const int kept = errno;
    NEXT(next, "ftruncate");
    if (is_counted_file(fd, &info))
        note_bytes(fd, size, info.st_size > size ? (size_t)(info.st_size - size) : 0);
    errno = kept;
    return next(fd, size);
}

int fallocate(int fd, int mode, off_t at, off_t length)
{
    static int (*next)(int, int, off_t, off_t);
    NEXT(next, "fallocate");
    note_bytes(fd, at, 0);
    return next(fd, mode, at, length);
}

// What is written while the call runs is not sure to be on disk: the journal's length is that of before.
static int synced(int (*next)(int), int fd)
{
    char path[PATH_MAX];
    struct stat info, journal;

    if (power.journal < 0 || fstat(power.journal, &journal) != 0 || fstat(fd, &info) != 0 ||
        !path_of(path, fd) || !is_counted(path))
        return next(fd);
    const int result = next(fd);
    struct power_record record = {
        .kind = POWER_SYNCED, .inode = info.st_ino, .offset = (uint64_t)journal.st_size};
    if (result == 0)
        note(&record, NULL, 0);
    return result;
}

int fsync(int fd)
{
    static int (*next)(int);
    NEXT(next, "fsync");
    return synced(next, fd);
}

int fdatasync(int fd)
{
    static int (*next)(int);
    NEXT(next, "fdatasync");
    return synced(next, fd);
}

// Opens it, and says what this did to the folder and to the file.
static int opened(int (*next)(int, const char *, int, ...), int at, const char *path, int flags, mode_t mode)
{
    struct place place;
    struct stat info;
    const int kept = errno;

    if ((flags & (O_CREAT | O_TRUNC)) == 0 || !find_place(&place, at, path))
        return next(at, path, flags, mode);
    const bool existed = syscall(SYS_newfstatat, at, path, &info, AT_SYMLINK_NOFOLLOW) == 0;
    if (existed && (flags & O_TRUNC) != 0 && (flags & O_EXCL) == 0) {
        const int fd = (int)syscall(SYS_openat, at, path, O_RDWR | O_CLOEXEC);
        if (fd >= 0) {
            note_bytes(fd, 0, (size_t)info.st_size);
            syscall(SYS_close, fd);
        }
    }
    errno = kept;
    const int fd = next(at, path, flags, mode);
    if (fd >= 0 && !existed && fstat(fd, &info) == 0)
        note_name(POWER_NAMED, &place, NULL, info.st_ino);
    return fd;
}

int openat(int at, const char *path, int flags, ...)
{
    static int (*next)(int, const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    NEXT(next, "openat");
    return opened(next, at, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    static int (*next)(int, const char *, int, ...);
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    NEXT(next, "openat");
    return opened(next, AT_FDCWD, path, flags, mode);
}

int rename(const char *from, const char *to)
{
    static int (*next)(const char *, const char *);
    struct place old, new;
    NEXT(next, "rename");
    if (!find_place(&old, AT_FDCWD, from) || !find_place(&new, AT_FDCWD, to))
        return next(from, to);
    if (old.folder != new.folder)
        abort(); // the account has no record for this, and coppice does not do it
    const uint64_t replaced = keep(AT_FDCWD, to);
    const int result = next(from, to);
    if (result == 0)
        note_name(POWER_RENAMED, &new, old.name, replaced);
    return result;
}

int link(const char *from, const char *to)
{
    static int (*next)(const char *, const char *);
    struct place place;
    struct stat info;
    NEXT(next, "link");
    const int result = next(from, to);
    if (result == 0 && find_place(&place, AT_FDCWD, to) && stat(to, &info) == 0)
        note_name(POWER_NAMED, &place, NULL, info.st_ino);
    return result;
}

int unlinkat(int at, const char *path, int flags)
{
    static int (*next)(int, const char *, int);
    struct place place;
    NEXT(next, "unlinkat");
    if (!find_place(&place, at, path))
        return next(at, path, flags);
    const uint64_t file = (flags & AT_REMOVEDIR) == 0 ? keep(at, path) : 0;
    const int result = next(at, path, flags);
    if (result == 0)
        note_name((flags & AT_REMOVEDIR) == 0 ? POWER_UNNAMED : POWER_FOLDER_REMOVED, &place, NULL, file);
    return result;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    static int (*next)(const char *);
    struct place place;
    struct stat info;
    const int kept = errno;
    NEXT(next, "rmdir");
    if (!find_place(&place, AT_FDCWD, path))
        return next(path);
    const uint64_t inode = lstat(path, &info) == 0 ? info.st_ino : 0;
    errno = kept;
    const int result = next(path);
    if (result == 0)
        note_name(POWER_FOLDER_REMOVED, &place, NULL, inode);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    static int (*next)(const char *, mode_t);
    struct place place;
    NEXT(next, "mkdir");
    const int result = next(path, mode);
    if (result == 0 && find_place(&place, AT_FDCWD, path))
        note_name(POWER_FOLDER_MADE, &place, NULL, 0);
    return result;
}
