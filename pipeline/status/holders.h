// holders.h - which programs hold a run directory, read from its lock files: RUN/lock and
// RUN/results/VARIANT/lock. Changes nothing; works on any host that sees the files.
#pragma once
#include "io/file/process_identity.h"
#include "kernels/error.h"

enum holder_state {
    HOLDER_WORKS, // the process lives on this host, or its heartbeat is fresh
    HOLDER_GONE,  // no such process on this host
    HOLDER_SILENT // of another host, without a heartbeat for RUN_LOCK_STALE_SECONDS
};

struct lock_holder {
    struct process_identity identity;
    enum holder_state state;
    double silence; // seconds since the last heartbeat, by this host's clock
    bool whole;     // holds RUN/lock
    size_t num_variants;
    char **variants; // names of the variants that it holds, "dense" among them, sorted
};

struct holders {
    size_t count;
    struct lock_holder *items;
};

// Freed with holders_free.
enum status holders_read(struct holders *holders, const char *run, struct error *err);
void holders_free(struct holders *holders);
const char *holder_state_name(enum holder_state state); // "works", "gone", "silent"
