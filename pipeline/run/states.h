// states.h - which hidden states and Hessians a run keeps on disk, and how those that a unit reads come back.
#pragma once
#include "io/file/run_paths.h"
#include "pipeline/run/runner.h"

// activations/STREAM/layer-l.h5. path has PATH_SIZE bytes.
void states_path(char path[PATH_SIZE], const struct runner *runner, const char *stream, size_t layer);

// Collective over the team. Makes sure that what enters `layer` in the stream of `owner` (NULL: the dense
// one) is there, from the nearest layer below that is.
enum status states_ensure(struct runner *runner, const struct variant *owner, size_t layer,
                          struct error *err);

// The others act on a team's first rank alone and are no errors.

// After the states that enter layer `newest` were written: those that are not among the last two layers' go,
// unless the job keeps them or variants read all of them.
void states_trim(const struct runner *runner, const struct variant *owner, size_t newest);

// After a unit of `layer` was done again: states that were made for it alone, far behind the stream's end,
// go.
void states_trim_behind(const struct runner *runner, const struct variant *owner, size_t layer);

// A Hessian is the largest file of a run, and of no use once the masks are made from it.
void states_trim_hessian(const struct runner *runner, const struct unit *unit);

// World: the dense stream that was kept for several variants, when all of them are done.
void states_drop_dense(const struct runner *runner);
