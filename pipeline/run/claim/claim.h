// claim.h - who may write what in a run directory. Rank 0 only; no MPI.
//
// A program that works on a whole job holds RUN/lock and RUN/results/VARIANT/lock of every variant. One that
// is limited to some variants holds only their locks, so that several such programs can work in one run
// directory. While it opens the run it holds RUN/lock, too, and it waits for others that do the same. A
// thread keeps the locks fresh, and looks whether they still are this program's where a fence was set.
#pragma once
#include "io/file/fence.h"
#include <stdbool.h>
#include <stddef.h>

struct claim;

struct claim_outcome {
    bool stole;         // a lock was taken over from a program that is gone
    const char *in_use; // the variant whose lock could not be had, of the names; NULL: none
};

// names[count]: the variants, "dense" among them when the dense model is to be measured, or what all variants
// share is to be made. whole: the whole job. When another program holds one of the locks, STATUS_FAILED names
// the lock and the program, and nothing is held. Freed with claim_release.
enum status claim_take(struct claim **claim, const char *run, const char *const *names, size_t count,
                       bool whole, struct claim_outcome *outcome, struct error *err);
// Call it when the run is open: a claim on some variants gives RUN/lock back, one on the whole job keeps it.
void claim_share(struct claim *claim);
// The locks to look at before a file is committed, and their number, for fence_set. Caller frees *locks. Of a
// claim on the whole job it is RUN/lock alone, which everybody takes before a variant's.
enum status claim_locks(struct fence_lock **locks, size_t *count, const struct claim *claim,
                        struct error *err);
void claim_release(struct claim *claim); // NULL is fine

// Removes temporary files that a killed program left: everywhere, or with a claim on some variants only in
// their folders. *removed: how many.
enum status claim_clean(const struct claim *claim, size_t *removed, struct error *err);
