// idle.c - a shared object for LD_PRELOAD with which ranks that wait for others sleep.
//
// A waiting rank of Open MPI calls sched_yield again and again. Where tests run side by side, more ranks than
// cores, that takes a third of the processors from those that work. Here the first calls of a wait do what
// they always do, since most answers come at once, and later ones sleep, the longer the wait has lasted. Only
// the time of a run changes.
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Calls further apart than this belong to two waits: between them the rank worked, or was not running.
enum { SAME_WAIT_NS = 5000 };

static long long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int sched_yield(void)
{
    static _Thread_local long long last;
    static _Thread_local unsigned calls; // of this wait
    int result = 0;

    if (now() - last > SAME_WAIT_NS)
        calls = 0;
    calls++;
    if (calls <= 5) {
        result = (int)syscall(SYS_sched_yield);
    } else {
        // The kernel adds about 50 us of its own.
        const struct timespec pause = {.tv_nsec = calls < 50 ? 10000 : calls < 500 ? 100000 : 500000};

        nanosleep(&pause, NULL);
    }
    last = now();
    return result;
}
