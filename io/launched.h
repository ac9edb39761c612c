// launched.h - what a launcher (mpirun, mpiexec, srun) says of this process, before MPI is asked. Launchers'
// variables are read here and nowhere else.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// Whether this is rank 0, the one that speaks; true without a launcher.
bool launched_as_first(void);
// How many ranks were started, and how many of them on this node; 1 without a launcher, and where it does not
// say.
size_t launched_ranks(void);
size_t launched_ranks_on_node(void);
// How many of them the launcher told to be one world of MPI; 1 for the programs of a step of srun without
// MPI.
size_t launched_world(void);
// The job of the scheduler (SLURM_JOB_ID); NULL outside of one.
const char *launched_in_job(void);

// Whether Open MPI's mpirun started this process. It sends SIGTERM to all ranks for Ctrl-C, and SIGKILL soon
// after (4: a second, odls_base_sigkill_timeout; 5: a quarter of one); its own exit code is then 1, whatever
// theirs are.
bool launched_by_mpirun(void);
// Whether mpirun was told to change what it passes on: --tag-output, --output and their kin.
bool launched_with_changed_output(void);
// A descriptor of what mpirun itself writes errors to, a terminal or a pipe on this host; -1: there is none.
// The caller closes it. Open MPI 5's mpirun passes on nothing more once it was told to end: what is said then
// has to go there directly (launched_is_cut_off).
int launched_error_stream(void);
bool launched_is_cut_off(void);

// Whether the launcher ends all ranks when one ends before it has started MPI with another exit code than 0:
// Open MPI's does by itself, those of PMI do by launched_abort. Of srun it depends on --kill-on-bad-exit.
bool launched_to_end_together(void);
// For a rank that will not start MPI, last of all. Launchers that speak PMI (Hydra: MPICH, Intel MPI,
// MVAPICH; srun --mpi=pmi2) leave the others waiting for it in MPI_Init, for ever, when it only ends: they
// are told to end them, and take this exit code. Does nothing elsewhere.
void launched_abort(int exit_code);
// Waits, two seconds at most, until the launcher has taken what was written to standard error. Those of PMI
// drop what they have not read when a rank aborts. Only what a signal handler may call.
void launched_await_reader(void);
