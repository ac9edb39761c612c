// run_lock.h - the lock that lets one program at a time work in a run directory.
#pragma once
#include "io/file/fence.h"
#include <stdbool.h>

// One program per run directory: RUN/lock holds host, pid, boot id, start time and SLURM_JOB_ID if any. A
// held lock is STATUS_FAILED and says by whom; a lock whose process is gone (same host: no such pid with that
// start time; other host: its heartbeat is older than RUN_LOCK_STALE_SECONDS) is stale and taken over, and
// *stole says so. Rank 0 only.
//
// Works on shared file systems: only link(), rename() and O_EXCL are relied on, no byte-range or flock locks.
// "Same host" means the same host name, boot and process-id name space; anything else is judged by the
// heartbeat, so a program that works longer than that without one may lose its lock to another host. The
// folder `run` is made if need be. *lock is freed with run_lock_release.
enum { RUN_LOCK_STALE_SECONDS = 60 };
struct run_lock;
enum status run_lock_acquire(struct run_lock **lock, const char *run, bool *stole, struct error *err);
// Cheap; call it now and then: touches the lock file at most every ten seconds.
void run_lock_heartbeat(struct run_lock *lock);
// False when another program has taken the lock over: run_lock_release then leaves its file alone. Public for
// tests.
bool run_lock_is_held(const struct run_lock *lock);
// What fence_check looks for as long as the lock is held.
void run_lock_fence(struct fence_lock *out, const struct run_lock *lock);
void run_lock_release(struct run_lock *lock); // NULL is fine
