#include "stages/layer/read_ahead.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

// Less is read before a thread has begun.
enum { LEAST = 1 << 20 };
// Linux fetches no more for one call than the device's read_ahead_kb, often this. A call waits while the
// device has too much to do, and takes microseconds in any case.
enum { PIECE = 1 << 17 };

struct read_ahead {
    pthread_t thread;
    atomic_bool ends;
    bool joined;
    struct read_ahead_span *spans;
    size_t count;
};

static void expect_span(struct read_ahead *ahead, const struct read_ahead_span *span)
{
    for (uint64_t done = 0; done < span->bytes && !atomic_load(&ahead->ends); done += PIECE)
        safetensors_expect(span->file, (const char *)span->data + done,
                           span->bytes - done < PIECE ? span->bytes - done : PIECE);
}

static void *expect_all(void *context)
{
    struct read_ahead *ahead = context;
    for (size_t i = 0; i < ahead->count; i++)
        expect_span(ahead, &ahead->spans[i]);
    return NULL;
}

// Signals are for the thread that MPI and the commands run in.
static int start_thread(struct read_ahead *ahead)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int failed = pthread_create(&ahead->thread, NULL, expect_all, ahead);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}

struct read_ahead *read_ahead_begin(struct read_ahead_span *spans, size_t count)
{
    struct read_ahead *ahead = NULL;
    uint64_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += spans[i].bytes;
    if (bytes >= LEAST)
        ahead = calloc(1, sizeof *ahead);
    if (ahead != NULL) {
        ahead->spans = spans;
        ahead->count = count;
        if (start_thread(ahead) == 0)
            return ahead;
    }
    free(ahead);
    free(spans);
    return NULL;
}

void read_ahead_wait(struct read_ahead *ahead)
{
    if (ahead == NULL || ahead->joined)
        return;
    pthread_join(ahead->thread, NULL);
    ahead->joined = true;
}

void read_ahead_end(struct read_ahead *ahead)
{
    if (ahead == NULL)
        return;
    atomic_store(&ahead->ends, true);
    read_ahead_wait(ahead);
    free(ahead->spans);
    free(ahead);
}
