// claim.h - who may write what in a run directory. Rank 0 only; no MPI.
//
// A program that works on a whole job holds RUN/lock and RUN/results/VARIANT/lock of every variant. One that
// is limited to some variants holds only their locks, so that several such programs can work in one run
// directory. While it opens the run it holds RUN/lock, too, and it waits for others that do the same. A
// thread keeps the locks fresh.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

struct claim;

// names[count]: the variants, "dense" among them when the dense model is to be measured. whole: the whole
// job. *stole: a lock was taken over from a program that is gone. When another program holds one of the
// locks, STATUS_FAILED names the lock and the program, and nothing is held. Freed with claim_release.
enum status claim_take(struct claim **claim, const char *run, const char *const *names, size_t count,
                       bool whole, bool *stole, struct error *err);
// Call it when the run is open: a claim on some variants gives RUN/lock back, one on the whole job keeps it.
void claim_share(struct claim *claim);
void claim_release(struct claim *claim); // NULL is fine

// Removes temporary files that a killed program left: everywhere, or with a claim on some variants only in
// their folders. *removed: how many.
enum status claim_clean(const struct claim *claim, size_t *removed, struct error *err);
