// read_ahead.h - has the kernel fetch from the file system what will be read next, in a thread of its own,
// while the caller computes with what it has. Advice: nothing fails, and nothing is read that has no page
// cache.
#pragma once
#include "io/model/weights/safetensors.h"

struct read_ahead_span {
    const struct safetensors_file *file; // open until read_ahead_end
    const void *data;
    uint64_t bytes;
};

struct read_ahead;

// Begins with spans[count] in their order; the array is the callee's, who frees it. NULL when there is
// nothing worth a thread, or no thread.
struct read_ahead *read_ahead_begin(struct read_ahead_span *spans, size_t count);
// Leaves out what was not asked for yet, and frees. NULL is fine.
void read_ahead_end(struct read_ahead *ahead);
// Waits until all of it was asked for. NULL is fine. Public for tests.
void read_ahead_wait(struct read_ahead *ahead);
