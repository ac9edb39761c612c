#include "kernels/threads.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { STACK = 2 << 20 };
// Looks at what has changed before a thread sleeps: some 30 microseconds, less than it takes to be woken.
enum { LOOKS = 1000 };

// The job in hand. A helper joins it while it is open, so that the caller waits for those that have begun
// only.
static struct pool {
    pthread_mutex_t mutex; // guards open, active, sleeping and the job
    pthread_cond_t wake, idle;
    size_t count;   // threads, the caller's included; 0: not known yet
    size_t started; // helpers
    size_t sleeping;
    bool open;
    atomic_size_t active;     // helpers at work
    atomic_size_t generation; // of jobs
    size_t items, grain;
    threads_work *work;
    const void *context;
    atomic_size_t next; // first item that nobody has taken
} pool = {
    .mutex = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER};

static _Thread_local bool within;
static _Thread_local size_t number; // of this thread, where it is a helper

static size_t count_of_environment(void)
{
    static const char *const names[] = {"BLIS_NUM_THREADS", "OMP_NUM_THREADS"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = getenv(names[i]);
        const long count = text != NULL ? strtol(text, NULL, 10) : 0;
        if (count > 0)
            return (size_t)count;
    }
    return 1;
}

size_t threads_count(void)
{
    if (pool.count == 0)
        pool.count = count_of_environment();
    return pool.count;
}

void threads_set(size_t count)
{
    pthread_mutex_lock(&pool.mutex);
    pool.count = count;
    pthread_mutex_unlock(&pool.mutex);
}

static void take_pieces(size_t thread)
{
    size_t first;

    within = true;
    number = thread;
    while ((first = atomic_fetch_add(&pool.next, pool.grain)) < pool.items) {
        const size_t left = pool.items - first;
        pool.work(pool.context, first, left < pool.grain ? left : pool.grain, thread);
    }
    within = false;
}

static void relax(void)
{
#if defined(__x86_64__) && defined(__GNUC__)
    __builtin_ia32_pause();
#endif
}

// Returns when there has been another job after `seen`; the mutex is held then.
static void wait_for_job(size_t seen)
{
    for (size_t look = 0; look < LOOKS && atomic_load(&pool.generation) == seen; look++)
        relax();
    pthread_mutex_lock(&pool.mutex);
    pool.sleeping++;
    while (atomic_load(&pool.generation) == seen)
        pthread_cond_wait(&pool.wake, &pool.mutex);
    pool.sleeping--;
}

// context: the helper's number, as an address.
static void *help(void *context)
{
    const size_t thread = (size_t)(uintptr_t)context;
    size_t seen = 0;

    for (;;) {
        wait_for_job(seen);
        seen = atomic_load(&pool.generation);
        const bool joins = pool.open && thread < pool.count;
        if (joins)
            atomic_fetch_add(&pool.active, 1);
        pthread_mutex_unlock(&pool.mutex);
        if (!joins)
            continue;
        take_pieces(thread);
        pthread_mutex_lock(&pool.mutex);
        if (atomic_fetch_sub(&pool.active, 1) == 1)
            pthread_cond_signal(&pool.idle);
        pthread_mutex_unlock(&pool.mutex);
    }
    return NULL;
}

// A child has none of its parent's threads.
static void forget(void)
{
    const pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    const pthread_cond_t condition = PTHREAD_COND_INITIALIZER;

    pool.mutex = mutex;
    pool.wake = pool.idle = condition;
    pool.started = pool.sleeping = 0;
    pool.open = false;
    atomic_store(&pool.active, 0);
}

// Starts the helpers that are missing. They leave signals to the others, but for those of their own faults.
enum status threads_start(struct error *err)
{
    const size_t helpers = threads_count() - 1;
    static const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL};
    static bool prepared;
    pthread_attr_t attributes;
    pthread_t helper;
    sigset_t all, before;

    if (pool.started >= helpers)
        return STATUS_OK;
    RETURN_ERROR_IF(pthread_attr_init(&attributes) != 0, err, STATUS_MEMORY, "out of memory for threads");
    if (!prepared)
        prepared = pthread_atfork(NULL, NULL, forget) == 0;
    pthread_attr_setstacksize(&attributes, STACK);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&all, faults[i]);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.started < helpers &&
           pthread_create(&helper, &attributes, help, (void *)(uintptr_t)(pool.started + 1)) == 0)
        pool.started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    RETURN_ERROR_IF(pool.started < helpers, err, STATUS_MEMORY, "only %zu of %zu threads could be started",
                    pool.started + 1, helpers + 1);
    return STATUS_OK;
}

static void open_job(size_t items, size_t grain, threads_work *work, const void *context)
{
    pthread_mutex_lock(&pool.mutex);
    pool.items = items;
    pool.grain = grain;
    pool.work = work;
    pool.context = context;
    atomic_store(&pool.next, 0);
    pool.open = true;
    atomic_fetch_add(&pool.generation, 1);
    if (pool.sleeping > 0)
        pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.mutex);
}

// After the last piece was taken: no helper joins any more, and those that have joined are waited for.
static void close_job(void)
{
    pthread_mutex_lock(&pool.mutex);
    pool.open = false;
    pthread_mutex_unlock(&pool.mutex);
    for (size_t look = 0; look < LOOKS && atomic_load(&pool.active) > 0; look++)
        relax();
    pthread_mutex_lock(&pool.mutex);
    while (atomic_load(&pool.active) > 0)
        pthread_cond_wait(&pool.idle, &pool.mutex);
    pthread_mutex_unlock(&pool.mutex);
}

void threads_share(size_t items, size_t grain, threads_work *work, const void *context)
{
    if (items == 0)
        return;
    if (within || threads_count() == 1 || items <= grain) {
        work(context, 0, items, number);
        return;
    }
    (void)threads_start(NULL); // with fewer it takes longer
    open_job(items, grain, work, context);
    take_pieces(0);
    close_job();
}

size_t threads_grain(size_t size)
{
    enum { WORTH = 1 << 15 };
    return size >= WORTH ? 1 : WORTH / (size > 0 ? size : 1);
}
