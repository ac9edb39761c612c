#include "pipeline/run/claim/claim.h"

#include "io/file/run/run_directory.h"
#include "io/file/run/run_lock.h"
#include "io/file/run_paths.h"
#include "pipeline/plan/stages.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { INTERVAL_SECONDS = 5, PATIENCE_SECONDS = 60 };

struct claim {
    char run[PATH_SIZE];
    bool whole;
    size_t count;
    char **names;            // [count] variants
    struct run_lock *lock;   // RUN/lock, NULL once shared
    struct run_lock **locks; // [count] of the variants
    bool beating;            // the thread below runs
    pthread_t thread;
    pthread_mutex_t mutex; // guards the locks and `stopping`
    pthread_cond_t wake;
    bool stopping;
};

static void beat_once(struct claim *claim)
{
    (void)fence_check(NULL); // hooks ask fence_is_lost
    if (claim->lock != NULL)
        run_lock_heartbeat(claim->lock);
    for (size_t i = 0; i < claim->count; i++)
        if (claim->locks[i] != NULL)
            run_lock_heartbeat(claim->locks[i]);
}

static void *beat(void *argument)
{
    struct claim *claim = argument;
    pthread_mutex_lock(&claim->mutex);
    while (!claim->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += INTERVAL_SECONDS;
        pthread_cond_timedwait(&claim->wake, &claim->mutex, &until);
        if (!claim->stopping)
            beat_once(claim);
    }
    pthread_mutex_unlock(&claim->mutex);
    return NULL;
}

static enum status start_beating(struct claim *claim, struct error *err)
{
    pthread_condattr_t attributes;
    sigset_t all, before;

    pthread_mutex_init(&claim->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&claim->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    // Signals are for the main thread, which may be waiting in MPI.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&claim->thread, NULL, beat, claim);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    RETURN_ERROR_IF(failed != 0, err, STATUS_FAILED, "cannot start a thread: %s", strerror(failed));
    claim->beating = true;
    return STATUS_OK;
}

// patient: tries again for a minute while another program holds it.
static enum status take_lock(struct run_lock **lock, const char *folder, bool patient, bool *stole,
                             struct error *err)
{
    const struct timespec pause = {0, 100000000};
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (;;) {
        const enum status status = run_lock_acquire(lock, folder, stole, err);
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (status == STATUS_OK || !patient || now.tv_sec - start.tv_sec > PATIENCE_SECONDS)
            return status;
        nanosleep(&pause, NULL);
    }
}

// Two programs may meet here: one that was suspended in the middle of this, and the one that took RUN/lock
// over. The first gives way as soon as it has looked at RUN/lock; the second waits for that.
static enum status take_variants(struct claim *claim, const char *const *names, size_t count,
                                 struct claim_outcome *outcome, struct error *err)
{
    FORWARD_IF_ERROR(allocate(&claim->names, count, sizeof *claim->names, "the locks", err));
    FORWARD_IF_ERROR(allocate(&claim->locks, count, sizeof *claim->locks, "the locks", err));
    for (size_t i = 0; i < count; i++) {
        char folder[PATH_SIZE];
        bool left = false;
        claim->names[i] = strdup(names[i]);
        RETURN_ERROR_IF(claim->names[i] == NULL, err, STATUS_MEMORY, "out of memory for the locks");
        run_subfolder_path(folder, claim->run, RUN_RESULTS, names[i]);
        const enum status status = take_lock(&claim->locks[i], folder, outcome->stole, &left, err);
        if (status != STATUS_OK) {
            free(claim->names[i]);
            outcome->in_use = names[i];
            return status;
        }
        claim->count = i + 1;
        RETURN_ERROR_IF(!run_lock_is_held(claim->lock), err, STATUS_FAILED,
                        "%s: another program took the lock over while this one was suspended; this one stops",
                        claim->run);
        outcome->stole = outcome->stole || left;
    }
    return STATUS_OK;
}

enum status claim_take(struct claim **out, const char *run, const char *const *names, size_t count,
                       bool whole, struct claim_outcome *outcome, struct error *err)
{
    struct claim *claim = NULL;
    enum status status;

    *out = NULL;
    *outcome = (struct claim_outcome){0};
    FORWARD_IF_ERROR(allocate(&claim, 1, sizeof *claim, "the locks", err));
    path_format(claim->run, sizeof claim->run, "%s", run);
    claim->whole = whole;
    // Another program that is limited to some variants holds RUN/lock only for a moment.
    status = take_lock(&claim->lock, claim->run, !whole, &outcome->stole, err);
    if (status == STATUS_OK)
        status = take_variants(claim, names, count, outcome, err);
    if (status == STATUS_OK)
        status = start_beating(claim, err);
    if (status == STATUS_OK)
        *out = claim;
    else
        claim_release(claim);
    return status;
}

void claim_share(struct claim *claim)
{
    if (claim->whole)
        return;
    pthread_mutex_lock(&claim->mutex);
    run_lock_release(claim->lock);
    claim->lock = NULL;
    pthread_mutex_unlock(&claim->mutex);
}

enum status claim_locks(struct fence_lock **locks, size_t *count, const struct claim *claim,
                        struct error *err)
{
    *count = 0;
    FORWARD_IF_ERROR(allocate(locks, claim->count + 1, sizeof **locks, "the locks", err));
    if (claim->lock != NULL)
        run_lock_fence(&(*locks)[(*count)++], claim->lock);
    for (size_t i = 0; i < claim->count && !claim->whole; i++)
        run_lock_fence(&(*locks)[(*count)++], claim->locks[i]);
    return STATUS_OK;
}

// Removes the folders that only held locks: a program that was refused leaves nothing behind. One that got no
// lock has made none of them, and another may just be making them.
static void remove_empty_folders(const struct claim *claim)
{
    char folder[PATH_SIZE];

    if (claim->count == 0 && claim->lock == NULL)
        return;
    for (size_t i = 0; i < claim->count; i++) {
        run_subfolder_path(folder, claim->run, RUN_RESULTS, claim->names[i]);
        (void)rmdir(folder);
    }
    run_folder_path(folder, claim->run, RUN_RESULTS);
    (void)rmdir(folder);
}

void claim_release(struct claim *claim)
{
    if (claim == NULL)
        return;
    if (claim->beating) {
        pthread_mutex_lock(&claim->mutex);
        claim->stopping = true;
        pthread_cond_signal(&claim->wake);
        pthread_mutex_unlock(&claim->mutex);
        pthread_join(claim->thread, NULL);
        pthread_cond_destroy(&claim->wake);
        pthread_mutex_destroy(&claim->mutex);
    }
    for (size_t i = 0; i < claim->count; i++)
        run_lock_release(claim->locks[i]);
    remove_empty_folders(claim);
    run_lock_release(claim->lock);
    (void)rmdir(claim->run);
    for (size_t i = 0; i < claim->count; i++)
        free(claim->names[i]);
    free(claim->names);
    free(claim->locks);
    free(claim);
}

// Adds to *removed.
static enum status clean_stage(const struct claim *claim, const char *variant, const struct stage_row *stage,
                               size_t *removed, struct error *err)
{
    for (enum run_folder kind = 0; kind < RUN_FOLDER_COUNT; kind++) {
        char folder[PATH_SIZE];
        struct stat info;
        size_t here = 0;
        run_subfolder_path(folder, claim->run, kind, variant);
        if ((stage->folders & 1U << kind) == 0 || stat(folder, &info) != 0)
            continue;
        FORWARD_IF_ERROR(run_clean_temporaries(folder, &here, err));
        *removed += here;
    }
    return STATUS_OK;
}

enum status claim_clean(const struct claim *claim, size_t *removed, struct error *err)
{
    *removed = 0;
    if (claim->whole)
        return run_clean_temporaries(claim->run, removed, err);
    for (size_t i = 0; i < claim->count; i++)
        for (int s = 0; s < STAGE_COUNT; s++)
            FORWARD_IF_ERROR(
                clean_stage(claim, claim->names[i], stage_row((enum stage_kind)s), removed, err));
    return STATUS_OK;
}
