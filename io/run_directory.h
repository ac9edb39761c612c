// run_directory.h - names inside a run directory, its lock, its temporary files.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

// "RUN/statistics/STREAM/layer-007.h5" and so on; kind is "statistics", "activations", "masks", "weights".
void run_layer_path(char *path, size_t size, const char *run, const char *kind, const char *stream,
                    size_t layer);

// One program per run directory: RUN/lock holds host, pid, boot id, start time and SLURM_JOB_ID if any. A
// held lock is STATUS_FAILED and says by whom; a lock whose process is gone (same host: no such pid with that
// start time; other host: its heartbeat is older than a minute) is stale and taken over, and *stole says so.
// Rank 0 only.
struct run_lock;
enum status run_lock_acquire(struct run_lock **lock, const char *run, bool *stole, struct error *err);
void run_lock_heartbeat(struct run_lock *lock); // cheap; call it now and then
void run_lock_release(struct run_lock *lock);   // NULL is fine

// Removes temporary files that a killed program left. Only with the lock held. *removed counts them.
enum status run_clean_temporaries(const char *run, size_t *removed, struct error *err);
