// The lock of a run directory. RUN/lock is a small text file, created by link() so that it appears with its
// contents and for one program only.
//
// Taking over a stale lock must leave one winner although all takers read the same stale contents. So a taker
// first links its own file to a claim whose name is made from those contents: one succeeds. Then it reads
// RUN/lock again; if that has changed, another taker finished before and the claim is worth nothing; else it
// renames its file over RUN/lock, which is never absent. A taker that dies in between leaves a claim, which
// is a lock file like any other: a program that finds it stale claims it in turn.
#include "io/file/run/run_lock.h"
#include "io/file/commit.h"
#include "io/file/process_identity.h"
#include "io/file/regular.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

enum { CONTENT_BYTES = 2048, HEARTBEAT_SECONDS = 10, LONGEST_CHAIN = 64, MOST_TRIES = 100 };

struct run_lock {
    char path[PATH_MAX];    // RUN/lock
    char private[PATH_MAX]; // the temporary name of the same file
    int fd;                 // open on our own file: a heartbeat can never touch a successor's
    uint64_t hash;          // of what the file holds
    time_t last_beat;       // monotonic
};

static enum status lock_failed(const struct run_lock *lock, const char *action, struct error *err)
{
    return error_set(err, STATUS_FAILED, "%s: %s failed: %s", lock->path, action, strerror(errno));
}

static time_t monotonic_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

// ---- reading a lock or claim --------------------------------------------------------------------

struct holder {
    char content[CONTENT_BYTES]; // NUL-terminated
    size_t size;
    time_t touched; // by the file system's clock
    struct process_identity identity;
    bool known; // the contents are those of a complete lock file
};

enum found { FOUND, ABSENT, UNREADABLE };

static enum found read_holder(struct holder *holder, const char *path)
{
    struct stat info;
    int fd;

    *holder = (struct holder){.size = 0};
    if (run_file_open(&fd, path, O_RDONLY, NULL) != STATUS_OK)
        return errno == ENOENT || errno == ESTALE ? ABSENT : UNREADABLE;
    while (holder->size < sizeof holder->content - 1) {
        const ssize_t got =
            read(fd, holder->content + holder->size, sizeof holder->content - 1 - holder->size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        holder->size += (size_t)got;
    }
    const int failed = fstat(fd, &info);
    close(fd);
    if (failed)
        return errno == ESTALE ? ABSENT : UNREADABLE;
    holder->touched = info.st_mtime;
    holder->known = process_identity_parse(&holder->identity, holder->content);
    return FOUND;
}

// now: by the clock that stamps the lock's file, so that a host whose clock is wrong steals nothing.
static bool is_stale(const struct holder *holder, const struct process_identity *self, time_t now)
{
    if (holder->known && process_identity_same_host(&holder->identity, self))
        return !process_identity_is_alive(&holder->identity);
    return now - holder->touched > RUN_LOCK_STALE_SECONDS;
}

static enum status held_by(const struct run_lock *lock, const struct holder *holder,
                           const struct process_identity *self, struct error *err)
{
    const struct process_identity *other = &holder->identity;

    RETURN_ERROR_IF(!holder->known, err, STATUS_FAILED,
                    "%s: the run directory is locked by an incomplete lock file; try again in a minute",
                    lock->path);
    return error_set(
        err, STATUS_FAILED,
        "%s: the run directory is in use by process %ld on %s (user %s%s%s, since %s); wait for it or stop "
        "it%s",
        lock->path, other->pid, other->host, other->user, other->slurm_job[0] != '\0' ? ", Slurm job " : "",
        other->slurm_job, other->since,
        process_identity_same_host(other, self) ? "" : "; if it is gone, try again in a minute");
}

// ---- taking -------------------------------------------------------------------------------------

// The file that becomes the lock, complete and on disk, under its temporary name.
static enum status write_private(struct run_lock *lock, const struct process_identity *self,
                                 struct error *err)
{
    char content[CONTENT_BYTES];
    const size_t size = process_identity_format(content, sizeof content, self);

    lock->hash = XXH3_64bits(content, size);
    unlink(lock->private); // an earlier process with our id may have left it
    lock->fd = open(lock->private, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock->fd < 0)
        return lock_failed(lock, "creating it", err);
    for (size_t done = 0; done < size;) {
        const ssize_t written = write(lock->fd, content + done, size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return lock_failed(lock, "writing", err);
        done += (size_t)written;
    }
    return fsync(lock->fd) == 0 ? STATUS_OK : lock_failed(lock, "fsync", err);
}

enum taken { TAKEN, OCCUPIED, LOST_PRIVATE, TAKE_FAILED };

// Gives our file the second name `path`, if nothing has that name.
static enum taken take_name(struct run_lock *lock, const char *path)
{
    struct stat info;

    if (link(lock->private, path) == 0)
        return TAKEN;
    const int reason = errno;
    // Over NFS a repeated request may report failure although the first one did it: the link count tells.
    if (fstat(lock->fd, &info) == 0 && info.st_nlink == 2)
        return TAKEN;
    errno = reason;
    if (reason == EEXIST)
        return OCCUPIED;
    return reason == ENOENT ? LOST_PRIVATE : TAKE_FAILED;
}

static bool claim_path(char path[PATH_MAX], const char *run, const struct holder *holder)
{
    // In form a temporary file's name, so that run_clean_temporaries clears what a killed taker left.
    const int used = snprintf(path, PATH_MAX, "%s/.lock.tmp-claim-%020" PRIu64, run,
                              (uint64_t)XXH3_64bits(holder->content, holder->size));
    return used > 0 && used < PATH_MAX;
}

// The stale lock and the stale claims on it, each on the one before.
struct chain {
    size_t claims;
    char paths[LONGEST_CHAIN][PATH_MAX];
};

enum outcome { OUTCOME_OK, OUTCOME_ERROR, OUTCOME_AGAIN };

static enum outcome replace_stale(struct run_lock *lock, const struct holder *stale,
                                  const struct chain *chain, struct error *err)
{
    struct holder again;
    const char *claim = chain->paths[chain->claims - 1];

    if (read_holder(&again, lock->path) != FOUND || again.size != stale->size ||
        memcmp(again.content, stale->content, stale->size) != 0) {
        unlink(claim); // someone has finished before us
        return OUTCOME_AGAIN;
    }
    if (rename(lock->private, lock->path) != 0) {
        const int reason = errno;
        unlink(claim);
        if (reason == ENOENT)
            return OUTCOME_AGAIN;
        errno = reason;
        lock_failed(lock, "taking it over", err);
        return OUTCOME_ERROR;
    }
    for (size_t i = 0; i < chain->claims; i++)
        unlink(chain->paths[i]);
    return OUTCOME_OK;
}

static enum outcome take_over(struct run_lock *lock, const char *run, const struct process_identity *self,
                              time_t now, struct chain *chain, struct error *err)
{
    struct holder stale, last;

    chain->claims = 0;
    switch (read_holder(&stale, lock->path)) {
    case ABSENT:
        return OUTCOME_AGAIN;
    case UNREADABLE:
        if (errno == EINVAL)
            error_set(err, STATUS_FAILED, "%s: not a regular file", lock->path);
        else
            lock_failed(lock, "reading the lock", err);
        return OUTCOME_ERROR;
    case FOUND:
        break;
    }
    for (last = stale; chain->claims < LONGEST_CHAIN;) {
        if (!is_stale(&last, self, now)) {
            held_by(lock, &last, self, err);
            return OUTCOME_ERROR;
        }
        char *claim = chain->paths[chain->claims++];
        if (!claim_path(claim, run, &last)) {
            errno = ENAMETOOLONG;
            lock_failed(lock, "claiming", err);
            return OUTCOME_ERROR;
        }
        switch (take_name(lock, claim)) {
        case TAKEN:
            return replace_stale(lock, &stale, chain, err);
        case LOST_PRIVATE:
            return OUTCOME_AGAIN;
        case TAKE_FAILED:
            lock_failed(lock, "claiming a stale lock", err);
            return OUTCOME_ERROR;
        case OCCUPIED:
            if (read_holder(&last, claim) != FOUND)
                return OUTCOME_AGAIN;
        }
    }
    error_set(err, STATUS_FAILED,
              "%s: too many programs died while taking this lock; remove %s/.lock.tmp-claim-*", lock->path,
              run);
    return OUTCOME_ERROR;
}

static enum outcome try_once(struct run_lock *lock, const char *run, const struct process_identity *self,
                             bool *stole, struct chain *chain, struct error *err)
{
    struct stat info;

    if (lock->fd >= 0)
        close(lock->fd);
    if (write_private(lock, self, err) != STATUS_OK)
        return OUTCOME_ERROR;
    switch (take_name(lock, lock->path)) {
    case TAKEN:
        unlink(lock->private);
        return OUTCOME_OK;
    case LOST_PRIVATE: // the holder of the lock is removing temporary files
        return OUTCOME_AGAIN;
    case TAKE_FAILED:
        lock_failed(lock, "locking (by a hard link)", err);
        return OUTCOME_ERROR;
    case OCCUPIED:
        break;
    }
    // Our file was written this moment: its time is the file system's now.
    if (fstat(lock->fd, &info) != 0) {
        lock_failed(lock, "reading its time", err);
        return OUTCOME_ERROR;
    }
    const enum outcome outcome = take_over(lock, run, self, info.st_mtime, chain, err);
    *stole = outcome == OUTCOME_OK;
    return outcome;
}

static void free_lock(struct run_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    free(lock);
}

static enum status acquire(struct run_lock *lock, const char *run, bool *stole, struct error *err)
{
    struct process_identity self;
    struct chain *chain;
    char unique[PATH_MAX + 32];
    enum outcome outcome = OUTCOME_AGAIN;
    const int used = snprintf(lock->path, sizeof lock->path, "%s/lock", run);

    RETURN_ERROR_IF(used < 0 || (size_t)used >= sizeof lock->path, err, STATUS_FAILED,
                    "%.200s...: the name is too long", run);
    FORWARD_IF_ERROR(make_directories(run, err));
    process_identity_self(&self);
    // Host and process id alone may be those of another container on the same file system.
    snprintf(unique, sizeof unique, "%s/lock-%" PRIu64, run, self.nonce);
    FORWARD_IF_ERROR(temporary_path(lock->private, sizeof lock->private, unique, err));
    FORWARD_IF_ERROR(allocate(&chain, 1, sizeof *chain, "the lock", err));
    for (size_t tries = 0; outcome == OUTCOME_AGAIN && tries < MOST_TRIES; tries++)
        outcome = try_once(lock, run, &self, stole, chain, err);
    free(chain);
    if (outcome == OUTCOME_OK)
        return STATUS_OK;
    unlink(lock->private);
    RETURN_ERROR_IF(outcome == OUTCOME_AGAIN, err, STATUS_FAILED,
                    "%s: other programs keep taking this lock; try again", lock->path);
    return STATUS_FAILED;
}

enum status run_lock_acquire(struct run_lock **out, const char *run, bool *stole, struct error *err)
{
    struct run_lock *lock;

    *out = NULL;
    *stole = false;
    FORWARD_IF_ERROR(allocate(&lock, 1, sizeof *lock, "the lock", err));
    lock->fd = -1;
    const enum status status = acquire(lock, run, stole, err);
    if (status != STATUS_OK) {
        free_lock(lock);
        return status;
    }
    lock->last_beat = monotonic_seconds();
    *out = lock;
    return STATUS_OK;
}

void run_lock_heartbeat(struct run_lock *lock)
{
    const time_t now = monotonic_seconds();
    if (now - lock->last_beat < HEARTBEAT_SECONDS)
        return;
    lock->last_beat = now;
    // No time given: on a shared file system the server stamps it with its own clock.
    futimens(lock->fd, NULL);
}

bool run_lock_is_held(const struct run_lock *lock)
{
    struct stat ours, theirs;
    return fstat(lock->fd, &ours) == 0 && stat(lock->path, &theirs) == 0 && ours.st_dev == theirs.st_dev &&
           ours.st_ino == theirs.st_ino;
}

void run_lock_fence(struct fence_lock *out, const struct run_lock *lock)
{
    path_format(out->path, sizeof out->path, "%s", lock->path);
    out->hash = lock->hash;
}

void run_lock_release(struct run_lock *lock)
{
    if (lock == NULL)
        return;
    if (run_lock_is_held(lock))
        unlink(lock->path);
    free_lock(lock);
}
