// hessian.h - H = (2 / N) sum x x^T of the inputs of linears over the calibration sequences (N of them), for
// sparsegpt (kernels/METHOD.md §6): gathered while a layer is calibrated, stored as
// hessians/STREAM/layer-l.h5, read to be factored.
//
// Rows of H are dealt out to the ranks in blocks of HESSIAN_ROWS, round robin, so that a rank holds only its
// share of H, and the upper triangle is shared evenly. After each wave of sequences every
// rank gets the inputs of each sequence in turn and adds its blocks: in the order of the sequences, in
// products of the same sizes whoever computes them, so that the bits do not depend on the number of ranks.
//
// The file has, for each source of inputs that reaches a pruned linear, under the name of the first linear
// that reads it: "/LINEAR/hessian", float64 [in, in], the upper triangle of H with zeros below.
#pragma once
#include "io/file/run_paths.h"
#include "io/store/store.h"
#include "stages/stage.h"

// Whether the stream of `variant` (NULL or dense propagation: the dense one) is to gather H.
bool stream_needs_hessian(const struct settings *settings, const struct variant *variant);
// hessians/STREAM/layer-l.h5. path: PATH_SIZE.
void hessian_path(char path[PATH_SIZE], const struct settings *settings, const char *stream, size_t layer);
// The first linear that reads the source: the name of its H. map must have one.
const char *hessian_name(const struct layer_map *map, size_t source);

// Bytes that a rank of `ranks` takes to gather the Hessians of a layer: its rows, its own sequence's inputs
// and one of another rank's. An expert has as many tokens as others, on average.
uint64_t hessian_rank_bytes(const struct settings *settings, const struct model *model,
                            const struct layer_map *map, size_t ranks);

struct hessian_sum;
enum status hessian_sum_begin(struct hessian_sum **sum, const struct stage *stage,
                              const struct layer_map *map, struct error *err); // collective
void hessian_sum_free(struct hessian_sum *sum);                                // NULL is fine
// Copies one source's input x[tokens, channels] of this rank's sequence in the wave. Not collective; when
// memory ran out, hessian_sum_add says so.
void hessian_sum_observe(struct hessian_sum *sum, size_t source, const float *x, size_t tokens);
// Collective. Adds what the ranks observed in this wave, the lowest rank's sequence first.
enum status hessian_sum_add(struct hessian_sum *sum, struct error *err);
// Collective. Scales the sums and commits the file. tokens[source]: how many tokens reached it on all ranks;
// stored as the attribute "tokens" of each H.
enum status hessian_sum_commit(struct hessian_sum *sum, const char *stream, const uint64_t *tokens,
                               struct error *err);
