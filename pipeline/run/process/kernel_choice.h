// kernel_choice.h - which of the BLAS's kernels a run computes with: asked for, as the run began, or
// measured. Of another library than BLIS: those that it takes, and whether they are still those that the run
// began with.
//
// The choice decides the last bits of every product, so all ranks take the same one, run.json keeps it
// (versions.blas_kernel), and a later start takes it again. What was measured is kept in a file for this kind
// of processor: $XDG_CACHE_HOME/coppice/kernel-HASH.json, else ~/.cache/coppice.
#pragma once
#include "kernels/blas.h"
#include "kernels/blas_kernel.h"
#include "stages/team/team.h"

// The speeds measured for this processor's kernels.
struct kernel_survey {
    char own[BLAS_KERNEL_NAME_SIZE];  // what BLIS takes by itself; "" when nothing was asked or learned
    char best[BLAS_KERNEL_NAME_SIZE]; // what is worth taking
    double gain;                      // how many times as fast as `own`
};

// Before MPI_Init and before the first call of BLIS: kernels are tried in child processes, because a process
// can use one set only. Takes 20 to 100 ms, once for each kind of processor. Learns nothing, and says so by
// an empty `own`, when no child process can be had. `asked`: --kernel or NULL; nothing is measured when it,
// COPPICE_KERNEL or BLIS_ARCH_TYPE decides.
void kernel_survey(struct kernel_survey *survey, const char *asked);

// The kernels that a run began with: what RUN/run.json says, `own` where it says nothing because the run was
// begun before there was a choice, "" where there is no readable run.json. Not collective. Public
// for tests.
// library[BLAS_NAME_SIZE]: the BLAS that it began with, "BLIS 0.9.0"; "" likewise.
void kernel_recorded(char *name, size_t size, char *library, const char *run, const char *own);

// Collective over the world, before the first call of BLIS. Has BLIS take the kernels of the run: those that
// are asked for (--kernel, COPPICE_KERNEL, BLIS_ARCH_TYPE, in this order); those that run.json of the
// directory `run` (may be NULL) names, or BLIS's own for a run that was begun before there was a choice; the
// best of rank 0's survey. Where a rank's processor lacks them, all take the widest that every rank has.
// notice[size]: a line for the user when that happened, or when portable kernels run on a processor that has
// better ones, or when the run began with another library or version of it; else "". STATUS_USAGE when what
// is asked for cannot be had.
enum status kernel_agree(char *notice, size_t size, const struct kernel_survey *survey, const char *asked,
                         const char *run, const struct team *world, struct error *err);
