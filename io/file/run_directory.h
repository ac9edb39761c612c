// run_directory.h - names inside a run directory, its lock, its temporary files.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

// Room for any path: the job refuses folders that leave none for the names below them (JOB_PATH_MAX).
enum { PATH_SIZE = 4200, JOB_PATH_MAX = 3500 };
// snprintf for paths: what does not fit gives "", which no open() takes for another file.
void path_format(char *path, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

// "RUN/statistics/STREAM/layer-007.h5" and so on; kind is "statistics", "hessians", "activations", "masks",
// "weights". A path that does not fit becomes the empty string, which no file system opens.
void run_layer_path(char *path, size_t size, const char *run, const char *kind, const char *stream,
                    size_t layer);

// One program per run directory: RUN/lock holds host, pid, boot id, start time and SLURM_JOB_ID if any. A
// held lock is STATUS_FAILED and says by whom; a lock whose process is gone (same host: no such pid with that
// start time; other host: its heartbeat is older than a minute) is stale and taken over, and *stole says so.
// Rank 0 only.
//
// Works on shared file systems: only link(), rename() and O_EXCL are relied on, no byte-range or flock locks.
// "Same host" means the same host name, boot and process-id name space; anything else is judged by the
// heartbeat, so a program that works longer than a minute without one may lose its lock to another host. The
// folder `run` is made if need be. *lock is freed with run_lock_release.
struct run_lock;
enum status run_lock_acquire(struct run_lock **lock, const char *run, bool *stole, struct error *err);
// Cheap; call it now and then: touches the lock file at most every ten seconds.
void run_lock_heartbeat(struct run_lock *lock);
// False when another program has taken the lock over: then nothing in the run directory may be written any
// more.
bool run_lock_is_held(const struct run_lock *lock);
void run_lock_release(struct run_lock *lock); // NULL is fine

// Removes temporary files (commit.h) that a killed program left, in run and the folders below it; symbolic
// links are not followed. Only with the lock held. *removed counts them.
enum status run_clean_temporaries(const char *run, size_t *removed, struct error *err);
