#include "io/file/fence.h"

#include "io/file/process_identity.h"
#include "io/file/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

static struct {
    struct fence_lock *locks;
    size_t count;
    uint64_t token; // 0: no fence
} fence;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; // guards it
static atomic_bool is_lost;

enum status fence_set(const struct fence_lock *locks, size_t count, struct error *err)
{
    struct fence_lock *copy;

    FORWARD_IF_ERROR(allocate(&copy, count, sizeof *copy, "the locks", err));
    memcpy(copy, locks, count * sizeof *copy);
    pthread_mutex_lock(&mutex);
    free(fence.locks);
    fence.locks = copy;
    fence.count = count;
    if (fence.token == 0 && count > 0)
        fence.token = locks[0].hash;
    pthread_mutex_unlock(&mutex);
    return STATUS_OK;
}

void fence_clear(void)
{
    pthread_mutex_lock(&mutex);
    free(fence.locks);
    fence.locks = NULL;
    fence.count = 0;
    fence.token = 0;
    is_lost = false;
    pthread_mutex_unlock(&mutex);
}

// The lock is opened anew: of an open file, a network file system tells what it was.
static enum status check_one(const struct fence_lock *lock, struct error *err)
{
    struct process_identity other;
    char content[2048];
    int fd;

    if (run_file_open(&fd, lock->path, O_RDONLY, err) != STATUS_OK) {
        if (errno != ENOENT && errno != ESTALE)
            return STATUS_FAILED;
        is_lost = true;
        return error_set(
            err, STATUS_FAILED,
            "%s: the lock is gone: another program took it over while this one was suspended, or "
            "the run directory was moved away; this program stops",
            lock->path);
    }
    ssize_t size;
    do {
        size = pread(fd, content, sizeof content - 1, 0);
    } while (size < 0 && errno == EINTR);
    const int reason = errno;
    close(fd);
    RETURN_ERROR_IF(size < 0, err, STATUS_FAILED, "%s: cannot be read: %s", lock->path, strerror(reason));
    if (XXH3_64bits(content, (size_t)size) == lock->hash)
        return STATUS_OK;
    is_lost = true;
    content[size] = '\0';
    const bool known = process_identity_parse(&other, content);
    return error_set(
        err, STATUS_FAILED,
        "%s: process %ld on %s took the lock over while this program was suspended; this one stops",
        lock->path, known ? other.pid : 0, known ? other.host : "another machine");
}

enum status fence_check(struct error *err)
{
    enum status status = STATUS_OK;

    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < fence.count && status == STATUS_OK; i++)
        status = check_one(&fence.locks[i], err);
    pthread_mutex_unlock(&mutex);
    return status;
}

bool fence_is_lost(void)
{
    return is_lost;
}

void fence_token(char token[17])
{
    token[0] = '\0';
    pthread_mutex_lock(&mutex);
    if (fence.token != 0)
        snprintf(token, 17, "%016" PRIx64, fence.token);
    pthread_mutex_unlock(&mutex);
}

enum status fence_rename(const char *temporary, const char *path, struct error *err)
{
    FORWARD_IF_ERROR(fence_check(err));
    RETURN_ERROR_IF(rename(temporary, path) != 0, err, STATUS_FAILED, "%s: renaming failed: %s", path,
                    strerror(errno));
    RETURN_ERROR_IF(access(path, F_OK) != 0 || access(temporary, F_OK) == 0, err, STATUS_FAILED,
                    "%s: is not there after it was given its name: is the file system failing?", path);
    return STATUS_OK;
}
