// states.h - which hidden states and Hessians a run keeps on disk, and how those that a unit reads are made
// again.
#pragma once
#include "io/file/run_paths.h"
#include "stages/layer/layer_weights.h"

// activations/STREAM/layer-l.h5.
void states_path(char path[PATH_SIZE], const struct settings *settings, const char *stream, size_t layer);

// Collective over the team. Makes sure that the states that enter `layer` in the stream of `owner` (NULL: the
// dense one) are there; they are made from those of the nearest layer below that has some.
enum status states_ensure(const struct stage *stage, struct layer_weights *weights,
                          const struct variant *owner, size_t layer, struct error *err);

// The functions below act on a team's first rank alone. A file that cannot be removed is no error.

// After the states that enter layer `newest` were made: removes those that enter layer `newest` - 2, or,
// where they are written now and then only, all but the two newest; unless the job keeps them or variants
// read all.
void states_trim(const struct stage *stage, const struct variant *owner, size_t newest);

// After a unit of `layer` was done again: removes the states up to that layer which were made for it alone,
// long after the stream had passed.
void states_trim_passed(const struct stage *stage, const struct variant *owner, size_t layer);

// A Hessian is the largest file of a run. It is removed once all masks that need it are made.
void states_trim_hessian(const struct stage *stage, const struct variant *variant, size_t layer);
// The same once the variant's curves of the layer are there.
void states_trim_curves_hessian(const struct stage *stage, const struct variant *variant, size_t layer);

// Of the world: removes the dense stream that was kept for several variants, when all of them are done.
void states_drop_dense(const struct stage *stage);

// Of the world, at the end of a run: the same for all streams, with what the functions above have removed and
// the disk has not. A removal is not waited for: after a loss of power the file may be there again.
void states_sweep(const struct stage *stage);
