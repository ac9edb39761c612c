// threads.h - the threads of a process, and the one way in which the kernels cut their work for them.
//
// Work is a number of items, such as rows, channels or blocks of queries, whose results do not depend on one
// another. They are cut into pieces of `grain` items, and each thread takes the next piece until there is
// none: what an item computes, and so every bit, is the same for any number of threads and whichever thread
// takes it. What is added up over items is added afterwards, by the caller, in the order of the items.
//
// A thread without work looks for it for some microseconds and then sleeps. The caller never waits for a
// thread that has not begun: on a machine that is busy with other programs, those that run take the pieces of
// those that do not.
#pragma once
#include "kernels/error.h"
#include <stddef.h>

// The number of threads of all later work, at least 1: what was set, else BLIS_NUM_THREADS or OMP_NUM_THREADS
// of the environment, else 1.
size_t threads_count(void);
void threads_set(size_t count);

// Starts them. Without it they are started when work is first shared, and then as many as the system lets
// there be. STATUS_MEMORY: it does not let there be so many.
enum status threads_start(struct error *err);

// Does the items first ... first + count - 1. `thread` is below threads_count(), and different in any two
// calls that run at the same time: it says which workspace is free.
typedef void threads_work(const void *context, size_t first, size_t count, size_t thread);

// Calls `work` until all items are done. Within work, it does all of them in one call of the same thread; so
// does a program of one thread.
void threads_share(size_t items, size_t grain, threads_work *work, const void *context);

// Of columns of a matrix whose rows are passed one after the other: whole cache lines, and enough of them to
// be fetched ahead.
enum { THREADS_COLUMNS = 128 };

// Items for a piece that is worth the hand-over, when an item takes about as long as reading and writing
// `size` numbers.
size_t threads_grain(size_t size);
