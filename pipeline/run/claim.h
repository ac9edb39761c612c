// claim.h - who may write what in a run directory. Rank 0 only; no MPI.
//
// A program that works on all of a job holds RUN/lock and the lock of every variant
// (RUN/results/VARIANT/lock). One that is limited to some variants holds only theirs, so that several such
// programs can work in one run directory; it takes RUN/lock, too, while it opens the run, waiting for others
// that do the same. A thread keeps the locks fresh.
#pragma once
#include "kernels/error.h"
#include <stdbool.h>
#include <stddef.h>

struct claim;

// names[count]: the variants. whole: all of the job. *stole: a lock was left by a program that is gone.
// STATUS_FAILED says who holds what is asked for. Freed with claim_release.
enum status claim_take(struct claim **claim, const char *run, const char *const *names, size_t count,
                       bool whole, bool *stole, struct error *err);
// The run is open: a claim on some variants lets go of RUN/lock. Nothing happens for the whole.
void claim_share(struct claim *claim);
void claim_release(struct claim *claim); // NULL is fine

// Removes temporary files that a killed program left, where the claim allows: everywhere, or in the variants'
// folders.
enum status claim_clean(const struct claim *claim, size_t *removed, struct error *err);
