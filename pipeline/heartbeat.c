#include "pipeline/heartbeat.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { INTERVAL_SECONDS = 5 };

struct heartbeat {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stopping;
    struct run_lock *lock;
};

static void *beat(void *argument)
{
    struct heartbeat *heartbeat = argument;
    pthread_mutex_lock(&heartbeat->mutex);
    while (!heartbeat->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += INTERVAL_SECONDS;
        pthread_cond_timedwait(&heartbeat->wake, &heartbeat->mutex, &until);
        if (!heartbeat->stopping)
            run_lock_heartbeat(heartbeat->lock);
    }
    pthread_mutex_unlock(&heartbeat->mutex);
    return NULL;
}

enum status heartbeat_start(struct heartbeat **out, struct run_lock *lock, struct error *err)
{
    struct heartbeat *heartbeat = NULL;
    pthread_condattr_t attributes;
    sigset_t all, before;

    FORWARD_IF_ERROR(allocate(&heartbeat, 1, sizeof *heartbeat, "the lock's heartbeat", err));
    heartbeat->lock = lock;
    pthread_mutex_init(&heartbeat->mutex, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&heartbeat->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    // Signals are for the main thread, which may be waiting in MPI.
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&heartbeat->thread, NULL, beat, heartbeat);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        free(heartbeat);
        RETURN_ERROR(err, STATUS_FAILED, "cannot start a thread: %s", strerror(failed));
    }
    *out = heartbeat;
    return STATUS_OK;
}

void heartbeat_stop(struct heartbeat *heartbeat)
{
    if (heartbeat == NULL)
        return;
    pthread_mutex_lock(&heartbeat->mutex);
    heartbeat->stopping = true;
    pthread_cond_signal(&heartbeat->wake);
    pthread_mutex_unlock(&heartbeat->mutex);
    pthread_join(heartbeat->thread, NULL);
    pthread_cond_destroy(&heartbeat->wake);
    pthread_mutex_destroy(&heartbeat->mutex);
    free(heartbeat);
}
