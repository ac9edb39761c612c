// fence.h - the locks under which this process gives files their names.
//
// A program that was suspended (a laptop's lid, a frozen job, a file system that hung) may have lost its
// locks to another one by the time it wakes. It must not go on writing: every file gets its name here, after
// a look at the locks. Nor can it be late by a moment, between that look and the name: whoever takes a lock
// over removes all temporary files before it begins (run_clean_temporaries), and those of this process have
// names that nobody else makes (fence_token), so that there is nothing left to give the name to.
//
// One process works in one run directory at a time: the fence is the process's. All ranks that commit files
// set it. Without a fence, every look finds that all is well.
#pragma once
#include "io/file/run_paths.h"
#include "kernels/error.h"
#include <stdbool.h>
#include <stdint.h>

// A lock, and the XXH3-64 of what its file holds as long as it is ours (io/file/run/run_lock.h).
struct fence_lock {
    char path[PATH_SIZE];
    uint64_t hash;
};

// Replaces the locks of an earlier call; locks[count] stay the caller's. The token stays that of the first
// call, which is its first lock's hash. fence_clear ends it.
enum status fence_set(const struct fence_lock *locks, size_t count, struct error *err);
void fence_clear(void);

// STATUS_FAILED when a lock is gone or another's, and names it; also when one cannot be read. Any thread.
enum status fence_check(struct error *err);
// Whether a fence_check has found a lock lost. Cheap; any thread.
bool fence_is_lost(void);
// 16 hexadecimal digits, or "" without a fence.
void fence_token(char token[17]);

// rename, after a look at the locks; and then a look whether it was done, which network file systems have
// confirmed and not kept. Messages name `path`.
enum status fence_rename(const char *temporary, const char *path, struct error *err);
